// out[m, n] = residual[m, n] + gate[n] * act(sum over k of x[m, k] * w[n, k] + bias[n]); gate is 1 and residual 0 where absent.
// A lane makes TM rows of TN columns in registers; a workgroup is WN lanes wide. `w` is a run of rows of the whole matrix,
// whose first is column `first` of `out`. Needs lib/activation.

struct Params { rows: u32, cols: u32, inner: u32, shard: u32, first: u32, column_groups: u32 }

fn matmul(group: u32, lane: u32, p: Params) {
    let row = (group / p.column_groups * (WG / WN) + lane / WN) * TM;
    let col = (group % p.column_groups * WN + lane % WN) * TN;
    if (row >= p.rows || col >= p.shard) { return; }
    var sums: array<vec4<f32>, TM * TN / 4u>;
    for (var i = 0u; i < TM * TN / 4u; i++) { sums[i] = vec4<f32>(); }
    var x_rows: array<u32, TM>;
    for (var i = 0u; i < TM; i++) { x_rows[i] = min(row + i, p.rows - 1u) * p.inner; }
    var w_rows: array<u32, TN>;
    for (var j = 0u; j < TN; j++) { w_rows[j] = min(col + j, p.shard - 1u) * p.inner; }
    for (var k = 0u; k < p.inner; k += 4u) {
        let n = p.inner - k;
        var w4: array<vec4<f32>, TN>;
        for (var j = 0u; j < TN; j++) { w4[j] = w_load(w_rows[j] + k, n); }
        for (var i = 0u; i < TM; i++) {
            let x4 = x_load(x_rows[i] + k, n);
            for (var j = 0u; j < TN; j += 4u) {
                sums[(i * TN + j) / 4u] += vec4<f32>(dot(x4, w4[j]), dot(x4, w4[j + 1u]), dot(x4, w4[j + 2u]), dot(x4, w4[j + 3u]));
            }
        }
    }
    for (var j = 0u; j < TN; j += 4u) {
        if (col + j >= p.shard) { break; }
        let n = p.shard - (col + j);
        let out_col = p.first + col + j;
        let bias4 = bias_load(out_col, n);
        var gate4 = vec4<f32>(1.0);
        if (GATED == 1u) { gate4 = gate_load(out_col, n); }
        for (var i = 0u; i < TM; i++) {
            if (row + i >= p.rows) { break; }
            let e = (row + i) * p.cols + out_col;
            out_store(e, n, residual_load(e, n) + gate4 * activate(sums[(i * TN + j) / 4u] + bias4));
        }
    }
}

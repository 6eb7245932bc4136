// out[m, n] = residual[m, n] + gate[n] * act(sum over k of x[m, k] * w[n, k] + bias[n]); gate is 1 and residual 0 where absent. A
// thread makes TM rows of TN columns in registers; a workgroup is WN threads wide. `w` is a run of rows of the whole matrix, whose
// first is column `first` of `out`. All kernels of products but those of cooperative matrices sum along k in order, one fused
// multiply-add after the other: so results do not depend on the tile, nor on how many rows there are.
// #import epilogue

struct Params { rows: u32, cols: u32, inner: u32, shard: u32, first: u32, column_groups: u32 }

fn matmul_reg(group: u32, thread: u32, p: Params) {
    let row = (group / p.column_groups * (WG / WN) + thread / WN) * TM;
    let col = (group % p.column_groups * WN + thread % WN) * TN;
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
                let w = transpose(mat4x4<f32>(w4[j], w4[j + 1u], w4[j + 2u], w4[j + 3u]));
                let at = (i * TN + j) / 4u;
                sums[at] = fma(x4.wwww, w[3], fma(x4.zzzz, w[2], fma(x4.yyyy, w[1], fma(x4.xxxx, w[0], sums[at]))));
            }
        }
    }
    for (var j = 0u; j < TN; j += 4u) {
        let c = column(col + j, p);
        for (var i = 0u; i < TM; i++) { finish(row + i, c, sums[(i * TN + j) / 4u], p); }
    }
}

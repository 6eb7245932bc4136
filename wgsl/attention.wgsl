// out = softmax(q k^T * scale + bias) v for each head and batch, by tiles of keys with a running maximum and sum in f32.
// q, out: [batches * q_len, heads * dim]; k, v: [batches * k_len, heads * dim]; bias: [heads, q_len, k_len] where BIASED is 1.
// A workgroup makes BR queries of one head. First each lane scores one key of the tile against all of them; then the lanes
// stand as COLS columns of four along dim times WG / COLS groups of queries, and gather the values.

const ROWS: u32 = BR * COLS / WG;
const LOWEST: f32 = -3.0e38;

struct Params { q_len: u32, k_len: u32, heads: u32, q_tiles: u32, dim: u32, scale: f32 }

var<workgroup> weights: array<f32, BR * WG>;
var<workgroup> row_max: array<f32, BR>;
var<workgroup> row_scale: array<f32, BR>;

fn attention(group: u32, lane: u32, p: Params) {
    let first = group % p.q_tiles * BR;
    let head = group / p.q_tiles % p.heads;
    let batch = group / (p.q_tiles * p.heads);
    let width = p.heads * p.dim;
    let keys = batch * p.k_len * width + head * p.dim;
    var q_rows: array<u32, BR>;
    for (var r = 0u; r < BR; r++) { q_rows[r] = (batch * p.q_len + min(first + r, p.q_len - 1u)) * width + head * p.dim; }
    let column = min(lane % COLS, (p.dim - 1u) / 4u) * 4u;
    let row = lane / COLS * ROWS;
    var sums: array<vec4<f32>, ROWS>;
    var totals: array<f32, ROWS>;
    for (var i = 0u; i < ROWS; i++) {
        sums[i] = vec4<f32>();
        totals[i] = 0.0;
    }
    if (lane < BR) { row_max[lane] = LOWEST; }
    for (var tile = 0u; tile < p.k_len; tile += WG) {
        let key = min(tile + lane, p.k_len - 1u);
        let inside = tile + lane < p.k_len;
        var scores: array<f32, BR>;
        for (var r = 0u; r < BR; r++) { scores[r] = 0.0; }
        for (var d = 0u; d < p.dim; d += 4u) {
            let k4 = k_load(keys + key * width + d, p.dim - d);
            for (var r = 0u; r < BR; r++) { scores[r] += dot(q_load(q_rows[r] + d, p.dim - d), k4); }
        }
        for (var r = 0u; r < BR; r++) {
            var score = scores[r] * p.scale;
            if (BIASED == 1u) { score += bias_get((head * p.q_len + min(first + r, p.q_len - 1u)) * p.k_len + key); }
            weights[r * WG + lane] = select(LOWEST, score, inside);
        }
        workgroupBarrier();
        if (lane < BR) {
            var highest = row_max[lane];
            for (var j = 0u; j < WG; j++) { highest = max(highest, weights[lane * WG + j]); }
            row_scale[lane] = exp(max(row_max[lane] - highest, -100.0));
            row_max[lane] = highest;
        }
        workgroupBarrier();
        for (var r = 0u; r < BR; r++) {
            let weight = exp(max(weights[r * WG + lane] - row_max[r], -100.0));
            weights[r * WG + lane] = select(0.0, weight, inside);
        }
        workgroupBarrier();
        for (var i = 0u; i < ROWS; i++) {
            sums[i] *= row_scale[row + i];
            totals[i] *= row_scale[row + i];
        }
        for (var j = 0u; j < min(WG, p.k_len - tile); j++) {
            let v4 = v_load(keys + (tile + j) * width + column, p.dim - column);
            for (var i = 0u; i < ROWS; i++) {
                let weight = weights[(row + i) * WG + j];
                sums[i] += weight * v4;
                totals[i] += weight;
            }
        }
        workgroupBarrier();
    }
    if (lane % COLS > (p.dim - 1u) / 4u) { return; }
    for (var i = 0u; i < ROWS; i++) {
        if (first + row + i >= p.q_len) { return; }
        let e = (batch * p.q_len + first + row + i) * width + head * p.dim + column;
        out_store(e, p.dim - column, sums[i] / totals[i]);
    }
}

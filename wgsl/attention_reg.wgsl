// out = softmax(q k^T * scale + bias) v for each head and batch, by tiles of 64 keys with a running maximum and sum in f32.
// q, out: [batches * q_len, heads * dim]; k, v: [batches * k_len, heads * dim]; bias: [heads, q_len, k_len] where BIASED is 1.
// A workgroup makes BR queries of one head. For each tile, a thread first scores QUERIES queries against four keys; then one thread
// for each query turns scores into probs; then the threads stand as COLS columns of VECS vectors along dim times groups of ROWS
// queries, and gather the values.
// #import attention, attention_bias, key_ranges, online_softmax_rows

const ACROSS: u32 = 16u; // threads side by side along the keys
const QUERIES: u32 = BR * ACROSS / WG;
const ROWS: u32 = BR * COLS / WG;
const STRIDE: u32 = ACROSS + 1u; // odd, so that the rows of `probs` begin in different banks

var<workgroup> probs: array<vec4<f32>, BR * STRIDE>;
var<workgroup> rescale: array<f32, BR>;

fn attention_reg(group: u32, thread: u32, p: Params) {
    let here = tile_origin(group, BR, p);
    let query = thread / ACROSS * QUERIES;
    var q_rows: array<u32, QUERIES>;
    for (var i = 0u; i < QUERIES; i++) { q_rows[i] = here.queries + min(here.first + query + i, p.q_len - 1u) * here.width; }
    var scores: array<vec4<f32>, QUERIES>;
    var columns: array<u32, VECS>;
    for (var c = 0u; c < VECS; c++) { columns[c] = min((thread % COLS + c * COLS) * 4u, (p.dim - 1u) & ~3u); }
    let row = thread / COLS * ROWS;
    var sums: array<vec4<f32>, ROWS * VECS>;
    for (var i = 0u; i < ROWS * VECS; i++) { sums[i] = vec4<f32>(); }
    var row_max = MASKED;
    var row_sum = 0.0;

    for (var seen = first_seen(here.first, p); seen.tile < seen.end; seen = seen_after(seen, ACROSS * 4u)) {
        let tile = seen.tile;
        // Scores.
        let key = tile + thread % ACROSS * 4u;
        let last = seen.end - 1u;
        let vec4s = min(ACROSS, (seen.end - tile + 3u) / 4u);
        let k_rows = here.keys + min(vec4<u32>(key, key + 1u, key + 2u, key + 3u), vec4<u32>(last)) * here.width;
        for (var i = 0u; i < QUERIES; i++) { scores[i] = vec4<f32>(); }
        for (var d = 0u; d < select(0u, p.dim, key < seen.end); d += 4u) {
            let n = p.dim - d;
            let k0 = k_load(k_rows.x + d, n);
            let k1 = k_load(k_rows.y + d, n);
            let k2 = k_load(k_rows.z + d, n);
            let k3 = k_load(k_rows.w + d, n);
            for (var i = 0u; i < QUERIES; i++) {
                let q4 = q_load(q_rows[i] + d, n);
                scores[i] += vec4<f32>(dot(q4, k0), dot(q4, k1), dot(q4, k2), dot(q4, k3));
            }
        }
        let inside = vec4<u32>(key, key + 1u, key + 2u, key + 3u) < vec4<u32>(seen.end);
        for (var i = 0u; i < QUERIES; i++) {
            var score = scores[i] * p.scale;
            if (BIASED == 1u && inside.x) {
                score += bias_four((here.head * p.q_len + min(here.first + query + i, p.q_len - 1u)) * p.k_len + key, p.k_len - key);
            }
            if (BIASED == 2u) { score += shift_of(vec4<u32>(key, key + 1u, key + 2u, key + 3u), p); }
            probs[(query + i) * STRIDE + thread % ACROSS] = select(vec4<f32>(MASKED), score, inside);
        }
        workgroupBarrier();

        // Weights.
        if (thread < BR) { online_softmax(thread, vec4s, &row_max, &row_sum); }
        workgroupBarrier();

        // Values.
        for (var i = 0u; i < ROWS; i++) {
            for (var c = 0u; c < VECS; c++) { sums[i * VECS + c] *= rescale[row + i]; }
        }
        for (var j = 0u; j < vec4s; j++) {
            let k = tile + j * 4u;
            let v_rows = here.keys + min(vec4<u32>(k, k + 1u, k + 2u, k + 3u), vec4<u32>(last)) * here.width;
            var v4: array<mat4x4<f32>, VECS>;
            for (var c = 0u; c < VECS; c++) {
                let n = p.dim - columns[c];
                v4[c] = mat4x4<f32>(
                    v_load(v_rows.x + columns[c], n),
                    v_load(v_rows.y + columns[c], n),
                    v_load(v_rows.z + columns[c], n),
                    v_load(v_rows.w + columns[c], n),
                );
            }
            for (var i = 0u; i < ROWS; i++) {
                let prob = probs[(row + i) * STRIDE + j];
                for (var c = 0u; c < VECS; c++) { sums[i * VECS + c] += v4[c] * prob; }
            }
        }
        workgroupBarrier();
    }

    if (thread < BR) { rescale[thread] = 1.0 / row_sum; }
    workgroupBarrier();
    for (var c = 0u; c < VECS; c++) {
        let column = (thread % COLS + c * COLS) * 4u;
        for (var i = 0u; i < ROWS; i++) {
            if (column >= p.dim || here.first + row + i >= p.q_len) { continue; }
            let e = here.queries + (here.first + row + i) * here.width + column;
            out_store(e, p.dim - column, sums[i * VECS + c] * rescale[row + i]);
        }
    }
}

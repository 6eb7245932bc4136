// See attention_reg. A workgroup makes BR queries of one head. Online softmax:
//
//     for each tile of KEYS keys:
//         for each slice of SLICE numbers of queries and keys:
//             copy it to workgroup memory, transposed, so that a thread reads four queries or four keys at once
//             score += q * k, four by four a thread
//         copy the scores to workgroup memory
//         row_max, factor = 2^(old row_max - row_max), prob = e^(score - row_max), row_sum, by one thread a query
//         sum = sum * factor + prob * v, a thread VECS vec4s along dim of ROWS queries
//     out = sum / row_sum
// #import attention, attention_bias, online_softmax_rows, transposed

const KEYS: u32 = WG * 16u / BR;
const SLICE: u32 = 32u;
const ACROSS: u32 = KEYS / 4u;
const ROWS: u32 = BR / (WG / 16u);
const STRIDE: u32 = ACROSS + 1u; // odd, so that the rows of `probs` begin in different banks
const K_AT: u32 = SLICE * BR / 4u;

// Slices of queries, and of keys from K_AT on, until there are scores to take their place.
var<workgroup> probs: array<vec4<f32>, K_AT + SLICE * ACROSS>;
var<workgroup> rescale: array<f32, BR>;

fn attention_tiled(group: u32, thread: u32, p: Params) {
    let here = tile_origin(group, BR, p);
    let last = p.k_len - 1u;
    // What this thread transposes of a slice: four queries by four numbers, and as much of keys, where there are as many.
    let block = thread / (SLICE / 4u);
    let block_d = thread % (SLICE / 4u) * 4u;
    let last_d = (p.dim - 1u) & ~3u;
    let queries = here.queries + min(here.first + block * 4u + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.q_len - 1u)) * here.width;
    // Its scores.
    let key_four = thread % ACROSS;
    let query_four = thread / ACROSS;
    // Its sums.
    let row = thread / 16u * ROWS;
    var sums: array<vec4<f32>, ROWS * VECS>;
    for (var i = 0u; i < ROWS * VECS; i++) { sums[i] = vec4<f32>(); }
    var row_max = MASKED;
    var row_sum = 0.0;

    for (var tile = 0u; tile < p.k_len; tile += KEYS) {
        // Scores.
        var scores: array<vec4<f32>, 4>;
        for (var i = 0u; i < 4u; i++) { scores[i] = vec4<f32>(); }
        let keys = here.keys + min(tile + block * 4u + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(last)) * here.width;
        for (var begin = 0u; begin < p.dim; begin += SLICE) {
            let d = min(begin + block_d, last_d);
            let n = p.dim - d;
            var rows: array<vec4<f32>, 4>;
            // Zeros past `dim` in one of the two are enough.
            if (block < BR / 4u && (begin + SLICE <= p.dim || begin + block_d < p.dim)) {
                let q = queries + d;
                rows = transposed(array<vec4<f32>, 4>(q_load(q.x, n), q_load(q.y, n), q_load(q.z, n), q_load(q.w, n)));
            }
            // Of the slice before, or the probs.
            workgroupBarrier();
            if (block < BR / 4u) {
                for (var i = 0u; i < 4u; i++) { probs[(block_d + i) * (BR / 4u) + block] = rows[i]; }
            }
            if (block < ACROSS) {
                let k = keys + d;
                rows = transposed(array<vec4<f32>, 4>(k_load(k.x, n), k_load(k.y, n), k_load(k.z, n), k_load(k.w, n)));
                for (var i = 0u; i < 4u; i++) { probs[K_AT + (block_d + i) * ACROSS + block] = rows[i]; }
            }
            workgroupBarrier();
            for (var l = 0u; l < SLICE; l++) {
                let q4 = probs[l * (BR / 4u) + query_four];
                let k4 = probs[K_AT + l * ACROSS + key_four];
                scores[0] = fma(q4.xxxx, k4, scores[0]);
                scores[1] = fma(q4.yyyy, k4, scores[1]);
                scores[2] = fma(q4.zzzz, k4, scores[2]);
                scores[3] = fma(q4.wwww, k4, scores[3]);
            }
        }
        workgroupBarrier();
        let key = tile + key_four * 4u;
        let inside = key + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.k_len);
        for (var i = 0u; i < 4u; i++) {
            let query = query_four * 4u + i;
            var score = scores[i] * p.scale;
            if (BIASED == 1u && inside.x) {
                score += bias_four((here.head * p.q_len + min(here.first + query, p.q_len - 1u)) * p.k_len + key, p.k_len - key);
            }
            if (BIASED == 2u) { score += shift_of(key + vec4<u32>(0u, 1u, 2u, 3u), p); }
            probs[query * STRIDE + key_four] = select(vec4<f32>(MASKED), score, inside);
        }
        workgroupBarrier();

        // Weights.
        let vec4s = min(ACROSS, (p.k_len - tile + 3u) / 4u);
        if (thread < BR) { online_softmax(thread, vec4s, &row_max, &row_sum); }
        workgroupBarrier();

        // Values.
        for (var i = 0u; i < ROWS; i++) {
            for (var c = 0u; c < VECS; c++) { sums[i * VECS + c] *= rescale[row + i]; }
        }
        for (var j = 0u; j < vec4s; j++) {
            let v_rows = here.keys + min(tile + j * 4u + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(last)) * here.width;
            for (var c = 0u; c < VECS; c++) {
                let column = min((thread % 16u + c * 16u) * 4u, last_d);
                let at = v_rows + column;
                let n = p.dim - column;
                let v4 = mat4x4<f32>(v_load(at.x, n), v_load(at.y, n), v_load(at.z, n), v_load(at.w, n));
                for (var i = 0u; i < ROWS; i++) { sums[i * VECS + c] += v4 * probs[(row + i) * STRIDE + j]; }
            }
        }
        // `rescale` are written only behind barriers of the next tile's scores.
    }

    workgroupBarrier();
    if (thread < BR) { rescale[thread] = 1.0 / row_sum; }
    workgroupBarrier();
    for (var c = 0u; c < VECS; c++) {
        let column = (thread % 16u + c * 16u) * 4u;
        for (var i = 0u; i < ROWS; i++) {
            if (column >= p.dim || here.first + row + i >= p.q_len) { continue; }
            out_store(here.queries + (here.first + row + i) * here.width + column, p.dim - column, sums[i * VECS + c] * rescale[row + i]);
        }
    }
}

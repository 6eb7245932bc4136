// See attention_reg. A workgroup makes BR = 64 queries of one head, over tiles of 32 keys. Slices of 16 numbers of queries and keys go
// through workgroup memory, turned so that a lane reads four queries and four keys at once and makes 4 by 4 scores; then the lanes
// stand as 16 columns of FOURS vectors along dim times groups of eight queries, and gather the values. Needs lib/turned.

const BR: u32 = 64u;
const KEYS: u32 = 32u;
const SLICE: u32 = 16u;
const ACROSS: u32 = KEYS / 4u;
const ROWS: u32 = BR / (WG / 16u);
const STRIDE: u32 = ACROSS + 1u; // odd, so that the rows of `weights` begin in different banks

var<workgroup> q_slice: array<vec4<f32>, SLICE * BR / 4u>;
var<workgroup> k_slice: array<vec4<f32>, SLICE * ACROSS>;
var<workgroup> weights: array<vec4<f32>, BR * STRIDE>;
var<workgroup> factors: array<f32, BR>;

fn attention_tiled(group: u32, lane: u32, p: Params) {
    let here = place_of(group, BR, p);
    let last = p.k_len - 1u;
    // What this lane turns of a slice: four rows of four numbers. Half of the lanes take queries, a quarter keys.
    let block_row = lane % (WG / 2u) / 4u * 4u;
    let block_d = lane % 4u * 4u;
    // Its scores.
    let key_four = lane % ACROSS;
    let query_four = lane / ACROSS;
    // Its sums.
    let row = lane / 16u * ROWS;
    var columns: array<u32, FOURS>;
    for (var c = 0u; c < FOURS; c++) { columns[c] = min((lane % 16u + c * 16u) * 4u, (p.dim - 1u) & ~3u); }
    var sums: array<vec4<f32>, ROWS * FOURS>;
    for (var i = 0u; i < ROWS * FOURS; i++) { sums[i] = vec4<f32>(); }
    var highest = LOWEST;
    var total = 0.0;

    for (var tile = 0u; tile < p.k_len; tile += KEYS) {
        // Scores.
        var scores: array<vec4<f32>, 4>;
        for (var i = 0u; i < 4u; i++) { scores[i] = vec4<f32>(); }
        for (var begin = 0u; begin < p.dim; begin += SLICE) {
            let d = begin + block_d;
            if (lane < WG / 2u) {
                var rows = array<vec4<f32>, 4>();
                if (d < p.dim) {
                    let r = here.queries + min(here.first + block_row + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.q_len - 1u)) * here.width + d;
                    let n = p.dim - d;
                    rows = turned(array<vec4<f32>, 4>(q_load(r.x, n), q_load(r.y, n), q_load(r.z, n), q_load(r.w, n)));
                }
                for (var i = 0u; i < 4u; i++) { q_slice[(block_d + i) * (BR / 4u) + block_row / 4u] = rows[i]; }
            } else if (block_row < KEYS) {
                var rows = array<vec4<f32>, 4>();
                if (d < p.dim) {
                    let r = here.keys + min(tile + block_row + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(last)) * here.width + d;
                    let n = p.dim - d;
                    rows = turned(array<vec4<f32>, 4>(k_load(r.x, n), k_load(r.y, n), k_load(r.z, n), k_load(r.w, n)));
                }
                for (var i = 0u; i < 4u; i++) { k_slice[(block_d + i) * ACROSS + block_row / 4u] = rows[i]; }
            }
            workgroupBarrier();
            for (var l = 0u; l < SLICE; l++) {
                let q4 = q_slice[l * (BR / 4u) + query_four];
                let k4 = k_slice[l * ACROSS + key_four];
                scores[0] += q4.x * k4;
                scores[1] += q4.y * k4;
                scores[2] += q4.z * k4;
                scores[3] += q4.w * k4;
            }
            workgroupBarrier();
        }
        let key = tile + key_four * 4u;
        let inside = key + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.k_len);
        for (var i = 0u; i < 4u; i++) {
            let query = query_four * 4u + i;
            var score = scores[i] * p.scale;
            if (BIASED == 1u && inside.x) {
                score += bias_four((here.head * p.q_len + min(here.first + query, p.q_len - 1u)) * p.k_len + key, p.k_len - key);
            }
            if (BIASED == 2u) { score += shift_of(key + vec4<u32>(0u, 1u, 2u, 3u), p); }
            weights[query * STRIDE + key_four] = select(vec4<f32>(LOWEST), score, inside);
        }
        workgroupBarrier();

        // Weights.
        let fours = min(ACROSS, (p.k_len - tile + 3u) / 4u);
        if (lane < BR) { weigh(lane, fours, &highest, &total); }
        workgroupBarrier();

        // Values.
        for (var i = 0u; i < ROWS; i++) {
            for (var c = 0u; c < FOURS; c++) { sums[i * FOURS + c] *= factors[row + i]; }
        }
        for (var j = 0u; j < fours; j++) {
            let v_rows = here.keys + min(tile + j * 4u + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(last)) * here.width;
            for (var c = 0u; c < FOURS; c++) {
                let at = v_rows + columns[c];
                let n = p.dim - columns[c];
                let v4 = mat4x4<f32>(v_load(at.x, n), v_load(at.y, n), v_load(at.z, n), v_load(at.w, n));
                for (var i = 0u; i < ROWS; i++) { sums[i * FOURS + c] += v4 * weights[(row + i) * STRIDE + j]; }
            }
        }
        // The next tile's scores come after barriers of their own; `factors` are written only behind those.
    }

    workgroupBarrier();
    if (lane < BR) { factors[lane] = 1.0 / total; }
    workgroupBarrier();
    for (var c = 0u; c < FOURS; c++) {
        let column = (lane % 16u + c * 16u) * 4u;
        for (var i = 0u; i < ROWS; i++) {
            if (column >= p.dim || here.first + row + i >= p.q_len) { continue; }
            out_store(here.queries + (here.first + row + i) * here.width + column, p.dim - column, sums[i * FOURS + c] * factors[row + i]);
        }
    }
}

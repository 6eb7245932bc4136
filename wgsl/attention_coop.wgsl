// See attention_reg. Cooperative matrices of SIZE by SIZE, for q, k and v of f16, summed in f32. A workgroup is SG subgroups, each of
// which makes FM fragments of queries of one head. Online softmax:
//
//     copy the first tile of KEYS keys to workgroup memory
//     for each tile, and once more:
//         sum += prob * v, of the tile before                (fragments)
//         load its values and the next tile's keys into registers
//         score = q * k                                      (fragments, stored to workgroup memory)
//         copy the registers to workgroup memory
//         row_max = max(row_max, score), of each query
//         prob = 2^(score - row_max); row_sum += prob      (copied to workgroup memory as f16)
//         where row_max has grown by more than RESCALE_THRESHOLD: sum, row_sum *= 2^(old row_max - row_max)
//     out = sum / row_sum
//
// The element-to-lane mapping of a cooperative matrix is opaque, and so sums cannot be scaled in registers: they go through workgroup
// memory. That is why row_max follows the scores only when it must. P_SHIFT makes probs larger, so that small ones are still normal
// numbers of f16: 2^(RESCALE_THRESHOLD + P_SHIFT) is 32,768, and the largest f16 65,504.
//
// Numbers past `dim` are zeros in q alone, which is enough. Loads stand behind no condition: compilers would wait for each at once. The
// last tile begins early enough to be whole, so that from one tile to the next all loads move on by the same; keys that another tile has
// seen, or a range does not hold, have probs of zero. There are KEYS keys at least. Where TRANSPOSED says so, values are kept by
// dimension, so that their fragments are read like those of keys: a thread transposes LV blocks of four by four in registers. It carries
// LX vec4s of keys. Arrays are declared by vec4s (SPIR-V) or one by one (Metal).
// #import attention, key_ranges

const KEYS: u32 = FN * SIZE;
const DIM: u32 = FD * SIZE;
const ROWS: u32 = FM * SIZE; // queries of a subgroup
const BR: u32 = SG * ROWS;
const PER: u32 = LANES / ROWS; // threads that share a query
const OWN: u32 = KEYS / PER / 4u; // vec4s of a thread's keys
// Rows of workgroup memory in vec4s, padded against bank conflicts.
const K_ROW: u32 = (DIM + PAD) / 4u;
// #if TRANSPOSED
const V_ROW: u32 = (KEYS + PAD) / 4u;
const V_FOURS: u32 = DIM * V_ROW;
// #else
const V_FOURS: u32 = KEYS * K_ROW;
// #end
const PROB_ROW: u32 = (KEYS + PAD) / 4u;
const SCORE_ROW: u32 = KEYS / 4u + 1u;
const BLOCKS: u32 = KEYS * DIM / 16u;
const APART: u32 = WG / (DIM / 4u); // keys from one vec4 of a thread to its next
const RESCALE_THRESHOLD: f32 = 8.0;
const P_SHIFT: f32 = 7.0;
const LOG2_E: f32 = 1.4426950408889634;

// Of a multiple of 16 bytes, as all arrays here: others have been seen to move the rest off the alignment that fragments need.
var<workgroup> rescale_needed: array<u32, 4>;
// #if VEC4_ARRAYS
const UNIT: u32 = 1u;
var<workgroup> k_tile: array<vec4<f16>, KEYS * K_ROW>;
var<workgroup> v_tile: array<vec4<f16>, V_FOURS>;
var<workgroup> probs: array<vec4<f16>, BR * PROB_ROW>;
var<workgroup> scores: array<vec4<f32>, BR * SCORE_ROW>;

fn put_k(four: u32, v: vec4<f16>) { k_tile[four] = v; }
fn put_v(four: u32, v: vec4<f16>) { v_tile[four] = v; }
fn put_probs(four: u32, v: vec4<f16>) { probs[four] = v; }
fn put_scores(four: u32, v: vec4<f32>) { scores[four] = v; }
fn scores_at(four: u32) -> vec4<f32> { return scores[four]; }
// #else
const UNIT: u32 = 4u;
var<workgroup> k_tile: array<f16, KEYS * K_ROW * 4u>;
var<workgroup> v_tile: array<f16, V_FOURS * 4u>;
var<workgroup> probs: array<f16, BR * PROB_ROW * 4u>;
var<workgroup> scores: array<f32, BR * SCORE_ROW * 4u>;

fn put_k(four: u32, v: vec4<f16>) {
    // #for e in 4
    k_tile[four * 4u + $eu] = v[$e];
    // #end
}

fn put_v(four: u32, v: vec4<f16>) {
    // #for e in 4
    v_tile[four * 4u + $eu] = v[$e];
    // #end
}

fn put_probs(four: u32, v: vec4<f16>) {
    // #for e in 4
    probs[four * 4u + $eu] = v[$e];
    // #end
}

fn put_scores(four: u32, v: vec4<f32>) {
    // #for e in 4
    scores[four * 4u + $eu] = v[$e];
    // #end
}

fn scores_at(four: u32) -> vec4<f32> {
    let at = four * 4u;
    return vec4<f32>(scores[at], scores[at + 1u], scores[at + 2u], scores[at + 3u]);
}
// #end

// Among the threads that share a query.
fn row_max_of(x: f32) -> f32 {
    var row_max = x;
    for (var step = 1u; step < PER; step *= 2u) { row_max = max(row_max, subgroupShuffleXor(row_max, step)); }
    return row_max;
}

fn row_sum_of(x: f32) -> f32 {
    var sum = x;
    for (var step = 1u; step < PER; step *= 2u) { sum += subgroupShuffleXor(sum, step); }
    return sum;
}

// 2^x. Cards answer 0 where it would vanish, as their instructions are specified; some software drivers NaN.
fn power(x: vec4<f32>) -> vec4<f32> { return exp2(select(max(x, vec4<f32>(-140.0)), x, SIZE == 16u)); }

// SIZE numbers from `begin` on of a subgroup's queries, to where its probs will be.
fn put_queries(begin: u32, strip: u32, here: TileOrigin, p: Params, subgroup: Subgroup) {
    for (var four = subgroup.lane; four < ROWS * SIZE / 4u; four += LANES) {
        let row = strip + four / (SIZE / 4u);
        let d = begin + four % (SIZE / 4u) * 4u;
        let at = here.queries + min(here.first + row, p.q_len - 1u) * here.width + min(d, p.dim - 4u);
        put_probs(row * PROB_ROW + four % (SIZE / 4u), select(vec4<f16>(), q_data[at / 4u], d < p.dim));
    }
}

// A thread's part of its query in a fragment that is stored from `column` of the scores on.
fn scale_scores(row: u32, part: u32, column: u32, factor: f32) {
    for (var c = part * (SIZE / PER); c < (part + 1u) * (SIZE / PER); c += 4u) {
        let at = row * SCORE_ROW + (column + c) / 4u;
        put_scores(at, scores_at(at) * factor);
    }
}

// The same part to the output, of numbers from `begin` of the head on; `at` is the query's place there.
fn store_scores(fragment: u32, row: u32, part: u32, begin: u32, at: u32, factor: f32, p: Params) {
    if (row % ROWS / SIZE != fragment) { return; }
    for (var c = part * (SIZE / PER); c < (part + 1u) * (SIZE / PER) && begin + c < p.dim; c += 4u) {
        out_store(at + begin + c, p.dim - begin - c, scores_at(row * SCORE_ROW + c / 4u) * factor);
    }
}

fn attention_coop(group: u32, thread: u32, p: Params, subgroup: Subgroup) {
    let here = tile_origin(group, BR, p);
    let strip = subgroup.id * ROWS;
    // What this thread weighs: one query, and some of its keys.
    let row = strip + subgroup.lane / PER;
    let part = subgroup.lane % PER;
    let prob_at = row * PROB_ROW + part * OWN;
    let score_at = row * SCORE_ROW + part * OWN;
    let scale = p.scale * LOG2_E;
    var shift = MASKED; // scaled row_max - P_SHIFT
    var row_sum = 0.0; // of this thread's keys
    if (thread == 0u) { rescale_needed[0] = 0u; }

    // Queries. Sums begin as products, and each as another one, so that compilers give each registers beside each other from the start:
    // NVK and RADV move the numbers of a constant together for every product and apart again.
    let zero_b = coop_mat$sizex$size<f16, B>();
    // #for d in FD
    put_queries($du * SIZE, strip, here, p, subgroup);
    workgroupBarrier();
    // #for i in FM
    let q_$i_$d = coopLoadT<coop_mat$sizex$size<f16, A>>(&probs[(strip + $iu * SIZE) * PROB_ROW * UNIT], PROB_ROW * UNIT);
    var sum_$i_$d = coopMultiplyAdd(q_$i_$d, zero_b, coop_mat$sizex$size<f32, C>());
    // #end
    workgroupBarrier();
    // #end

    // Where this thread's first vec4 of keys and its blocks of values lie in a tile, and where in workgroup memory.
    let width = here.width / 4u;
    let last_tile = p.k_len - KEYS;
    let last_four = p.dim / 4u - 1u;
    let k_at = here.keys / 4u + thread / (DIM / 4u) * width + min(thread % (DIM / 4u), last_four);
    let put_k_at = thread / (DIM / 4u) * K_ROW + thread % (DIM / 4u);
    // #if TRANSPOSED
    // #for b in LV
    let block_$b = (thread + $bu * WG) % BLOCKS;
    let v_at_$b = here.keys / 4u + block_$b % (KEYS / 4u) * 4u * width + min(block_$b / (KEYS / 4u), last_four);
    let put_v_$b = block_$b / (KEYS / 4u) * 4u * V_ROW + block_$b % (KEYS / 4u);
    // #end
    // #end
    // #if RANGED
    var seen = first_seen(here.first, p);
    var done = min(seen.tile, last_tile) * width; // rows before the tile
    // #else
    var tile = 0u;
    var done = 0u;
    let end = p.k_len;
    // #end
    // #for e in 4
    let key_$e = $eu * width;
    // #end
    // #for x in LX
    let keys_$x = $xu * APART * width;
    var k_$x = k_data[k_at + (done + keys_$x)];
    put_k(put_k_at + $xu * (APART * K_ROW), k_$x);
    // #end

    var shift_before = shift;
    var tile_sum = 0.0;
    var rescale = 0u;
    // The loop begins with the tile before its own, of which there is none yet.
    for (var four = thread; four < BR * PROB_ROW; four += WG) { put_probs(four, vec4<f16>()); }
    for (var four = thread; four < V_FOURS; four += WG) { put_v(four, vec4<f16>()); }
    workgroupBarrier();
    loop {
        // Until sums must be scaled, or the end. Nothing else is done to them in here, which lets compilers keep them in their registers.
        loop {
            row_sum += tile_sum;
            // #for j in FN
            // #for i in FM
            let weight_$i_$j = coopLoadT<coop_mat$sizex$size<f16, A>>(
                &probs[((strip + $iu * SIZE) * PROB_ROW + $ju * (SIZE / 4u)) * UNIT], PROB_ROW * UNIT);
            // #end
            // #for d in FD
            // #if TRANSPOSED
            let value_$j_$d = coopLoad<coop_mat$sizex$size<f16, B>>(
                &v_tile[($du * SIZE * V_ROW + $ju * (SIZE / 4u)) * UNIT], V_ROW * UNIT);
            // #else
            let value_$j_$d = coopLoadT<coop_mat$sizex$size<f16, B>>(
                &v_tile[($ju * SIZE * K_ROW + $du * (SIZE / 4u)) * UNIT], K_ROW * UNIT);
            // #end
            // #for i in FM
            sum_$i_$d = coopMultiplyAdd(weight_$i_$j, value_$j_$d, sum_$i_$d);
            // #end
            // #end
            // #end
            // #if RANGED
            let tile = seen.tile;
            let end = seen.end;
            // #end
            rescale = 0u;
            if (tile >= end) { break; }

            // Scores.
            let begin = min(tile, last_tile);
            // #if RANGED
            seen = seen_after(seen, KEYS);
            // #end
            // #if TRANSPOSED
            // #for b in LV
            // #for e in 4
            let v_$b_$e = v_data[v_at_$b + (done + key_$e)];
            // #end
            // #end
            // #else
            // #for x in LX
            let v_$x = v_data[k_at + (done + keys_$x)];
            // #end
            // #end
            // #if RANGED
            done = min(seen.tile, last_tile) * width;
            // #else
            done = min(done + KEYS * width, last_tile * width);
            // #end
            // #for x in LX
            k_$x = k_data[k_at + (done + keys_$x)];
            // #end
            // #for j in FN
            // #for i in FM
            var score_$i_$j = coop_mat$sizex$size<f32, C>();
            // #end
            // #for d in FD
            let key_$j_$d = coopLoad<coop_mat$sizex$size<f16, B>>(
                &k_tile[($ju * SIZE * K_ROW + $du * (SIZE / 4u)) * UNIT], K_ROW * UNIT);
            // #for i in FM
            score_$i_$j = coopMultiplyAdd(q_$i_$d, key_$j_$d, score_$i_$j);
            // #end
            // #end
            // #for i in FM
            coopStoreT(score_$i_$j, &scores[((strip + $iu * SIZE) * SCORE_ROW + $ju * (SIZE / 4u)) * UNIT], SCORE_ROW * UNIT);
            // #end
            // #end
            workgroupBarrier();

            // Weights. Keys have been read by all, and so make room for the next ones.
            // #for x in LX
            put_k(put_k_at + $xu * (APART * K_ROW), k_$x);
            // #end
            // #if TRANSPOSED
            // #for b in LV
            // #for e in 4
            put_v(put_v_$b + $eu * V_ROW, vec4<f16>(v_$b_0[$e], v_$b_1[$e], v_$b_2[$e], v_$b_3[$e]));
            // #end
            // #end
            // #else
            // #for x in LX
            put_v(put_k_at + $xu * (APART * K_ROW), v_$x);
            // #end
            // #end
            var own: array<vec4<f32>, OWN>;
            for (var c = 0u; c < OWN; c++) { own[c] = scores_at(score_at + c); }
            // #if SHIFTED
            if (tile + KEYS > p.shift_from && tile < p.shift_to) {
                for (var c = 0u; c < OWN; c++) {
                    let key = begin + (part * OWN + c) * 4u + vec4<u32>(0u, 1u, 2u, 3u);
                    own[c] += shift_of(key, p) / p.scale;
                }
            }
            // #end
            if (tile + KEYS > end) {
                for (var c = 0u; c < OWN; c++) {
                    let key = begin + (part * OWN + c) * 4u + vec4<u32>(0u, 1u, 2u, 3u);
                    own[c] = select(vec4<f32>(MASKED), own[c], (key >= vec4<u32>(tile)) & (key < vec4<u32>(end)));
                }
            }
            var most = own[0];
            for (var c = 1u; c < OWN; c++) { most = max(most, own[c]); }
            let row_max = row_max_of(max(max(most.x, most.y), max(most.z, most.w))) * scale;
            shift_before = shift;
            if (row_max > shift + (P_SHIFT + RESCALE_THRESHOLD)) {
                shift = row_max - P_SHIFT;
                if (row_sum > 0.0) { rescale_needed[0] = 1u; }
            }
            var sum = vec4<f32>();
            for (var c = 0u; c < OWN; c++) {
                let prob = power(fma(own[c], vec4<f32>(scale), vec4<f32>(-shift)));
                put_probs(prob_at + c, vec4<f16>(prob));
                sum += prob;
            }
            tile_sum = dot(sum, vec4<f32>(1.0));
            // #if RANGED
            // #else
            tile += KEYS;
            // #end
            rescale = workgroupUniformLoad(&rescale_needed[0]);
            if (rescale != 0u) { break; }
        }
        if (rescale == 0u) { break; }
        let factor = power(vec4<f32>(shift_before - shift)).x;
        row_sum *= factor;
        // #for i in FM
        // #for d in FD
        let taken_out_$i_$d = ((strip + $iu * SIZE) * SCORE_ROW + $du % FN * (SIZE / 4u)) * UNIT;
        coopStoreT(sum_$i_$d, &scores[taken_out_$i_$d], SCORE_ROW * UNIT);
        workgroupBarrier();
        if (row % ROWS / SIZE == $iu) { scale_scores(row, part, $du % FN * SIZE, factor); }
        workgroupBarrier();
        sum_$i_$d = coopLoadT<coop_mat$sizex$size<f32, C>>(&scores[taken_out_$i_$d], SCORE_ROW * UNIT);
        // #end
        // #end
        if (thread == 0u) { rescale_needed[0] = 0u; }
    }

    let factor = 1.0 / row_sum_of(row_sum);
    let at = here.queries + (here.first + row) * here.width;
    let is_query = here.first + row < p.q_len;
    // #for i in FM
    // #for d in FD
    workgroupBarrier();
    coopStoreT(sum_$i_$d, &scores[(strip + $iu * SIZE) * SCORE_ROW * UNIT], SCORE_ROW * UNIT);
    workgroupBarrier();
    if (is_query) { store_scores($iu, row, part, $du * SIZE, at, factor, p); }
    // #end
    // #end
}

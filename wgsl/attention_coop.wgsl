// See attention_reg. Cooperative matrices of SIZE by SIZE, for q, k and v of f16: a workgroup is SG subgroups, each of which makes FM
// fragments of queries, over tiles of KEYS keys and values, which go through workgroup memory in rows of FD fragments, zeros past `dim`;
// the next ones are on their way in registers meanwhile. Scores leave through workgroup memory, since fragments show nothing of
// themselves, and come back as weights of f16.
//
// For the same reason sums cannot be scaled where they are. A query's weights are therefore relative to the highest score of some while ago,
// and sums are taken out and scaled only when a score is above it by more than SLACK. LIFT makes weights larger, so that small ones are
// still normal numbers of f16: e^(SLACK + LIFT) is 55,827, and the largest f16 65,504.
//
// Lines with a mark are repeated: $i for FM, $j for FN, $d for FD, $x for the fours of a tile that a lane carries, $four and $one for how
// arrays are declared, by fours (SPIR-V) or one by one (Metal).

const KEYS: u32 = FN * SIZE;
const DIM: u32 = FD * SIZE;
const ROWS: u32 = FM * SIZE; // queries of a subgroup
const BR: u32 = SG * ROWS;
const PER: u32 = LANES / ROWS; // lanes that share a query
const OWN: u32 = KEYS / PER; // a lane's keys
// Rows are padded so that lanes meet in no bank.
const TILE_ROW: u32 = DIM + 8u;
const WEIGHT_ROW: u32 = KEYS + 8u;
const SCORE_ROW: u32 = KEYS + 4u;
const UNIT: u32 = 1u; // $one
const UNIT: u32 = 4u; // $four
const SLACK: f32 = 4.0;
const LIFT: f32 = 6.93;

var<workgroup> k_tile: array<f16, KEYS * TILE_ROW>; // $one
var<workgroup> v_tile: array<f16, KEYS * TILE_ROW>; // $one
var<workgroup> weights: array<f16, BR * WEIGHT_ROW>; // $one
var<workgroup> scores: array<f32, BR * SCORE_ROW>; // $one
var<workgroup> k_tile: array<vec4<f16>, KEYS * TILE_ROW / 4u>; // $four
var<workgroup> v_tile: array<vec4<f16>, KEYS * TILE_ROW / 4u>; // $four
var<workgroup> weights: array<vec4<f16>, BR * WEIGHT_ROW / 4u>; // $four
var<workgroup> scores: array<vec4<f32>, BR * SCORE_ROW / 4u>; // $four
var<workgroup> outgrown: u32;

fn put_k(at: u32, v: vec4<f16>) {
    k_tile[at / 4u] = v; // $four
    k_tile[at] = v.x; // $one
    k_tile[at + 1u] = v.y; // $one
    k_tile[at + 2u] = v.z; // $one
    k_tile[at + 3u] = v.w; // $one
}

fn put_v(at: u32, v: vec4<f16>) {
    v_tile[at / 4u] = v; // $four
    v_tile[at] = v.x; // $one
    v_tile[at + 1u] = v.y; // $one
    v_tile[at + 2u] = v.z; // $one
    v_tile[at + 3u] = v.w; // $one
}

fn put_weights(at: u32, v: vec4<f16>) {
    weights[at / 4u] = v; // $four
    weights[at] = v.x; // $one
    weights[at + 1u] = v.y; // $one
    weights[at + 2u] = v.z; // $one
    weights[at + 3u] = v.w; // $one
}

fn put_scores(at: u32, v: vec4<f32>) {
    scores[at / 4u] = v; // $four
    scores[at] = v.x; // $one
    scores[at + 1u] = v.y; // $one
    scores[at + 2u] = v.z; // $one
    scores[at + 3u] = v.w; // $one
}

fn scores_at(at: u32) -> vec4<f32> {
    return scores[at / 4u]; // $four
    return vec4<f32>(scores[at], scores[at + 1u], scores[at + 2u], scores[at + 3u]); // $one
}

// Among the lanes that share a query.
fn most_of(x: f32) -> f32 {
    var most = x;
    for (var step = 1u; step < PER; step *= 2u) { most = max(most, subgroupShuffleXor(most, step)); }
    return most;
}

fn sum_of(x: f32) -> f32 {
    var sum = x;
    for (var step = 1u; step < PER; step *= 2u) { sum += subgroupShuffleXor(sum, step); }
    return sum;
}

// The key of a four of a tile, and where in the key it begins.
fn key_of(number: u32) -> u32 { return number / (DIM / 4u); }
fn place_in(number: u32) -> u32 { return number % (DIM / 4u) * 4u; }

fn k_four(number: u32, tile: u32, keys: u32, width: u32, p: Params) -> vec4<f16> {
    if (place_in(number) >= p.dim) { return vec4<f16>(); }
    return k_data[(keys + min(tile + key_of(number), p.k_len - 1u) * width + place_in(number)) / 4u];
}

fn v_four(number: u32, tile: u32, keys: u32, width: u32, p: Params) -> vec4<f16> {
    if (place_in(number) >= p.dim) { return vec4<f16>(); }
    return v_data[(keys + min(tile + key_of(number), p.k_len - 1u) * width + place_in(number)) / 4u];
}

fn place(number: u32) -> u32 { return key_of(number) * TILE_ROW + place_in(number); }

// SIZE numbers from `begin` on of a subgroup's queries, to where its weights will be.
fn put_queries(begin: u32, strip: u32, first: u32, queries: u32, width: u32, p: Params, subgroup: Subgroup) {
    for (var four = subgroup.lane; four < ROWS * SIZE / 4u; four += LANES) {
        let row = strip + four / (SIZE / 4u);
        let d = four % (SIZE / 4u) * 4u;
        var q4 = vec4<f16>();
        if (begin + d < p.dim) { q4 = q_data[(queries + min(first + row, p.q_len - 1u) * width + begin + d) / 4u]; }
        put_weights(row * WEIGHT_ROW + d, q4);
    }
}

// A lane's part of its query in a fragment that is stored from `column` of the scores on.
fn scale_scores(row: u32, part: u32, column: u32, factor: f32) {
    for (var c = part * (SIZE / PER); c < (part + 1u) * (SIZE / PER); c += 4u) {
        let at = row * SCORE_ROW + column + c;
        put_scores(at, scores_at(at) * factor);
    }
}

// The same part to the output, of numbers from `begin` of the head on; `at` is the query's place there.
fn store_scores(fragment: u32, row: u32, part: u32, begin: u32, at: u32, factor: f32, p: Params) {
    if (row % ROWS / SIZE != fragment) { return; }
    for (var c = part * (SIZE / PER); c < (part + 1u) * (SIZE / PER) && begin + c < p.dim; c += 4u) {
        out_store(at + begin + c, p.dim - begin - c, scores_at(row * SCORE_ROW + c) * factor);
    }
}

fn attention_coop(group: u32, lane: u32, p: Params, subgroup: Subgroup) {
    let here = place_of(group, BR, p);
    let strip = subgroup.id * ROWS;
    // What this lane weighs: one query, and some of its keys.
    let row = strip + subgroup.lane / PER;
    let part = subgroup.lane % PER;
    var highest = LOWEST;
    var total = 0.0; // of this lane's keys
    if (lane == 0u) { outgrown = 0u; }

    put_queries($du * SIZE, strip, here.first, here.queries, here.width, p, subgroup); workgroupBarrier(); let q_$i_$d = coopLoadT<coop_mat$sizex$size<f16, A>>(&weights[(strip + $iu * SIZE) * WEIGHT_ROW / UNIT], WEIGHT_ROW / UNIT); workgroupBarrier();
    var sum_$i_$d = coop_mat$sizex$size<f32, C>();
    var k_$x = k_four(lane + $xu * WG, 0u, here.keys, here.width, p);
    put_k(place(lane + $xu * WG), k_$x);
    for (var tile = 0u; tile < p.k_len; tile += KEYS) {
        // Scores.
        let v_$x = v_four(lane + $xu * WG, tile, here.keys, here.width, p);
        k_$x = k_four(lane + $xu * WG, tile + KEYS, here.keys, here.width, p);
        workgroupBarrier();
        var score_$i_$j = coop_mat$sizex$size<f32, C>();
        score_$i_$j = coopMultiplyAdd(q_$i_$d, coopLoad<coop_mat$sizex$size<f16, B>>(&k_tile[($ju * SIZE * TILE_ROW + $du * SIZE) / UNIT], TILE_ROW / UNIT), score_$i_$j);
        coopStoreT(score_$i_$j, &scores[((strip + $iu * SIZE) * SCORE_ROW + $ju * SIZE) / UNIT], SCORE_ROW / UNIT);
        workgroupBarrier();

        // Weights.
        put_v(place(lane + $xu * WG), v_$x);
        var own: array<vec4<f32>, OWN / 4u>;
        var most = highest;
        for (var c = 0u; c < OWN / 4u; c++) {
            let column = part * OWN + c * 4u;
            let key = tile + column + vec4<u32>(0u, 1u, 2u, 3u);
            own[c] = scores_at(row * SCORE_ROW + column) * p.scale;
            if (p.shift_to > p.shift_from) { own[c] += shift_of(key, p); }
            own[c] = select(vec4<f32>(LOWEST), own[c], key < vec4<u32>(p.k_len));
            most = max(most, max(max(own[c].x, own[c].y), max(own[c].z, own[c].w)));
        }
        most = most_of(most);
        var factor = 1.0;
        if (most > highest + SLACK) {
            factor = weight_of(vec4<f32>(highest - most)).x;
            highest = most;
            if (tile > 0u) { outgrown = 1u; }
        }
        var sum = vec4<f32>();
        for (var c = 0u; c < OWN / 4u; c++) {
            let weight = select(vec4<f32>(), weight_of(own[c] - highest + LIFT), own[c] > vec4<f32>(LOWEST));
            put_weights(row * WEIGHT_ROW + part * OWN + c * 4u, vec4<f16>(weight));
            sum += weight;
        }
        total = total * factor + dot(sum, vec4<f32>(1.0));

        // Values. Keys have been read by all, and so make room for the next ones.
        if (workgroupUniformLoad(&outgrown) != 0u) {
            coopStoreT(sum_$i_$d, &scores[((strip + $iu * SIZE) * SCORE_ROW + $du % FN * SIZE) / UNIT], SCORE_ROW / UNIT); workgroupBarrier(); scale_scores(row, part, $du % FN * SIZE, factor); workgroupBarrier(); sum_$i_$d = coopLoadT<coop_mat$sizex$size<f32, C>>(&scores[((strip + $iu * SIZE) * SCORE_ROW + $du % FN * SIZE) / UNIT], SCORE_ROW / UNIT);
            if (lane == 0u) { outgrown = 0u; }
        }
        put_k(place(lane + $xu * WG), k_$x);
        let weight_$i_$j = coopLoadT<coop_mat$sizex$size<f16, A>>(&weights[((strip + $iu * SIZE) * WEIGHT_ROW + $ju * SIZE) / UNIT], WEIGHT_ROW / UNIT);
        sum_$i_$d = coopMultiplyAdd(weight_$i_$j, coopLoadT<coop_mat$sizex$size<f16, B>>(&v_tile[($ju * SIZE * TILE_ROW + $du * SIZE) / UNIT], TILE_ROW / UNIT), sum_$i_$d);
    }

    let factor = 1.0 / sum_of(total);
    let at = here.queries + (here.first + row) * here.width;
    let is_query = here.first + row < p.q_len;
    workgroupBarrier(); coopStoreT(sum_$i_$d, &scores[(strip + $iu * SIZE) * SCORE_ROW / UNIT], SCORE_ROW / UNIT); workgroupBarrier(); if (is_query) { store_scores($iu, row, part, $du * SIZE, at, factor, p); }
}

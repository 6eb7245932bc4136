// See attention_reg. For software drivers, on which a subgroup of eight lanes is a vector register: a workgroup is one subgroup and makes
// BR queries of one head. A lane scores four keys of each tile of 32, then gathers PARTS times VECS vectors along dim of the values, one
// part after another, so that its sums and values stay in the nearest cache. Queries and probs are handed round by shuffles, so that no
// workgroup memory is needed.
// #import attention, attention_bias

const BR: u32 = 16u;
const KEYS: u32 = 32u;

// Cheaper by shuffles than by subgroupMax and subgroupAdd.
fn most_of(x: f32) -> f32 {
    let pairs = max(x, subgroupShuffleXor(x, 1u));
    let vec4s = max(pairs, subgroupShuffleXor(pairs, 2u));
    return max(vec4s, subgroupShuffleXor(vec4s, 4u));
}

fn sum_of(x: f32) -> f32 {
    let pairs = x + subgroupShuffleXor(x, 1u);
    let vec4s = pairs + subgroupShuffleXor(pairs, 2u);
    return vec4s + subgroupShuffleXor(vec4s, 4u);
}

// A part of the sums of all queries.
alias Sums = array<array<vec4<f32>, VECS>, BR>;

fn rescale(sums: ptr<function, Sums>, row: u32, factor: f32) {
    for (var c = 0u; c < VECS; c++) { (*sums)[row][c] *= factor; }
}

// Adds the values of a tile of keys in the columns from `first` on.
fn gather(sums: ptr<function, Sums>, probs: ptr<function, array<vec4<f32>, BR>>, tile: u32, first: u32, keys: u32, width: u32, p: Params) {
    var columns: array<u32, VECS>;
    for (var c = 0u; c < VECS; c++) { columns[c] = min(first + c * 32u, (p.dim - 1u) & ~3u); }
    let vec4s = min(8u, (p.k_len - tile + 3u) / 4u);
    for (var l = 0u; l < vec4s; l++) {
        let k = tile + l * 4u;
        let v_rows = keys + min(vec4<u32>(k, k + 1u, k + 2u, k + 3u), vec4<u32>(p.k_len - 1u)) * width;
        var v4: array<mat4x4<f32>, VECS>;
        for (var c = 0u; c < VECS; c++) {
            let at = v_rows + columns[c];
            let n = p.dim - columns[c];
            v4[c] = mat4x4<f32>(v_load(at.x, n), v_load(at.y, n), v_load(at.z, n), v_load(at.w, n));
        }
        for (var i = 0u; i < BR; i++) {
            let w = subgroupShuffle((*probs)[i], l);
            // Four keys at a time: one by one, the rounding of many keys alike would add up.
            for (var c = 0u; c < VECS; c++) {
                (*sums)[i][c] += fma(w.wwww, v4[c][3], fma(w.zzzz, v4[c][2], fma(w.yyyy, v4[c][1], w.xxxx * v4[c][0])));
            }
        }
    }
}

fn store(row: u32, column: u32, x: vec4<f32>, p: Params) {
    if (column < p.dim) { out_store(row + column, p.dim - column, x); }
}

fn attention_sg(group: u32, lane: u32, p: Params, subgroup: Subgroup) {
    let here = tile_origin(group, BR, p);
    let last = p.k_len - 1u;
    let mine = subgroup.lane * 4u;
    var q_rows: array<u32, BR>;
    var row_max: array<f32, BR>;
    var row_sum: array<f32, BR>; // of this lane's keys
    var sums: Sums;
    var more: Sums; // of the second part
    for (var i = 0u; i < BR; i++) {
        q_rows[i] = here.queries + min(here.first + i, p.q_len - 1u) * here.width;
        row_max[i] = MASKED;
        row_sum[i] = 0.0;
        for (var c = 0u; c < VECS; c++) {
            sums[i][c] = vec4<f32>();
            more[i][c] = vec4<f32>();
        }
    }

    for (var tile = 0u; tile < p.k_len; tile += KEYS) {
        // Scores.
        let key = vec4<u32>(tile + mine, tile + mine + 1u, tile + mine + 2u, tile + mine + 3u);
        let k_rows = here.keys + min(key, vec4<u32>(last)) * here.width;
        var scores: array<vec4<f32>, BR>;
        for (var i = 0u; i < BR; i++) { scores[i] = vec4<f32>(); }
        for (var begin = 0u; begin < p.dim; begin += 32u) {
            let column = min(begin + mine, (p.dim - 1u) & ~3u);
            var q4: array<vec4<f32>, BR>;
            for (var i = 0u; i < BR; i++) { q4[i] = q_load(q_rows[i] + column, p.dim - column); }
            let vec4s = min(8u, (p.dim - begin + 3u) / 4u);
            for (var l = 0u; l < vec4s; l++) {
                let d = begin + l * 4u;
                let n = p.dim - d;
                let k = k_rows + d;
                let k4 = transpose(mat4x4<f32>(k_load(k.x, n), k_load(k.y, n), k_load(k.z, n), k_load(k.w, n)));
                for (var i = 0u; i < BR; i++) {
                    let x = subgroupShuffle(q4[i], l);
                    scores[i] = fma(x.wwww, k4[3], fma(x.zzzz, k4[2], fma(x.yyyy, k4[1], fma(x.xxxx, k4[0], scores[i]))));
                }
            }
        }

        // Weights.
        let inside = key < vec4<u32>(p.k_len);
        for (var i = 0u; i < BR; i++) {
            var score = scores[i] * p.scale;
            if (BIASED == 1u && inside.x) {
                score += bias_four((here.head * p.q_len + min(here.first + i, p.q_len - 1u)) * p.k_len + key.x, p.k_len - key.x);
            }
            if (BIASED == 2u) { score += shift_of(key, p); }
            score = select(vec4<f32>(MASKED), score, inside);
            let before = row_max[i];
            row_max[i] = max(before, most_of(max(max(score.x, score.y), max(score.z, score.w))));
            scores[i] = select(vec4<f32>(), exp_p(score - row_max[i]), inside);
            let factor = exp_p(vec4<f32>(before - row_max[i])).x;
            row_sum[i] = row_sum[i] * factor + dot(scores[i], vec4<f32>(1.0));
            rescale(&sums, i, factor);
            if (PARTS == 2u) { rescale(&more, i, factor); }
        }

        gather(&sums, &scores, tile, mine, here.keys, here.width, p);
        if (PARTS == 2u) { gather(&more, &scores, tile, VECS * 32u + mine, here.keys, here.width, p); }
    }

    for (var i = 0u; i < BR; i++) {
        let factor = 1.0 / sum_of(row_sum[i]);
        if (here.first + i >= p.q_len) { continue; }
        let row = here.queries + (here.first + i) * here.width;
        for (var c = 0u; c < VECS; c++) {
            store(row, c * 32u + mine, sums[i][c] * factor, p);
            if (PARTS == 2u) { store(row, (VECS + c) * 32u + mine, more[i][c] * factor, p); }
        }
    }
}

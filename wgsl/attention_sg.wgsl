// See attention_reg. For software drivers, on which a subgroup of eight lanes is a vector register: a workgroup is one subgroup and makes
// BR times BLOCKS queries of one head: the more there are, the fewer times keys and values are loaded, for which these drivers take
// longest; and loops of more than 32 are not unrolled. A lane scores four keys of each tile of 32, then gathers PARTS times VECS vectors
// along dim of the values, one part after another, so that its sums and values stay in the nearest cache. Queries and probs are handed
// round by shuffles, so that no workgroup memory is needed.
// #import attention, attention_bias, key_ranges

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

// By query: four numbers of each, and a part of its sums.
alias Fours = array<array<vec4<f32>, BR>, BLOCKS>;
alias Sums = array<array<array<vec4<f32>, VECS>, BR>, BLOCKS>;

fn rescale(sums: ptr<function, Sums>, block: u32, row: u32, factor: f32) {
    for (var c = 0u; c < VECS; c++) { (*sums)[block][row][c] *= factor; }
}

// Adds the values of a tile of keys in the columns from `first` on.
fn gather(sums: ptr<function, Sums>, probs: ptr<function, Fours>, seen: Seen, first: u32, keys: u32, width: u32, p: Params) {
    var columns: array<u32, VECS>;
    for (var c = 0u; c < VECS; c++) { columns[c] = min(first + c * 32u, (p.dim - 1u) & ~3u); }
    let vec4s = min(8u, (seen.end - seen.tile + 3u) / 4u);
    for (var l = 0u; l < vec4s; l++) {
        let k = seen.tile + l * 4u;
        let v_rows = keys + min(vec4<u32>(k, k + 1u, k + 2u, k + 3u), vec4<u32>(seen.end - 1u)) * width;
        var v4: array<mat4x4<f32>, VECS>;
        for (var c = 0u; c < VECS; c++) {
            let at = v_rows + columns[c];
            let n = p.dim - columns[c];
            v4[c] = mat4x4<f32>(v_load(at.x, n), v_load(at.y, n), v_load(at.z, n), v_load(at.w, n));
        }
        for (var b = 0u; b < BLOCKS; b++) {
            for (var i = 0u; i < BR; i++) {
                let w = subgroupShuffle((*probs)[b][i], l);
                // Four keys at a time: one by one, the rounding of many keys alike would add up.
                for (var c = 0u; c < VECS; c++) {
                    (*sums)[b][i][c] += fma(w.wwww, v4[c][3], fma(w.zzzz, v4[c][2], fma(w.yyyy, v4[c][1], w.xxxx * v4[c][0])));
                }
            }
        }
    }
}

fn store(row: u32, column: u32, x: vec4<f32>, p: Params) {
    if (column < p.dim) { out_store(row + column, p.dim - column, x); }
}

fn attention_sg(group: u32, lane: u32, p: Params, subgroup: Subgroup) {
    let here = tile_origin(group, BR * BLOCKS, p);
    let mine = subgroup.lane * 4u;
    var q_rows: array<array<u32, BR>, BLOCKS>;
    var row_max: array<array<f32, BR>, BLOCKS>;
    var row_sum: array<array<f32, BR>, BLOCKS>; // of this lane's keys
    var sums: Sums;
    var more: Sums; // of the second part
    for (var b = 0u; b < BLOCKS; b++) {
        for (var i = 0u; i < BR; i++) {
            q_rows[b][i] = here.queries + min(here.first + b * BR + i, p.q_len - 1u) * here.width;
            row_max[b][i] = MASKED;
            row_sum[b][i] = 0.0;
            for (var c = 0u; c < VECS; c++) {
                sums[b][i][c] = vec4<f32>();
                more[b][i][c] = vec4<f32>();
            }
        }
    }

    for (var seen = first_seen(here.first, p); seen.tile < seen.end; seen = seen_after(seen, KEYS)) {
        let tile = seen.tile;
        let last = seen.end - 1u;
        // Scores.
        let key = vec4<u32>(tile + mine, tile + mine + 1u, tile + mine + 2u, tile + mine + 3u);
        let k_rows = here.keys + min(key, vec4<u32>(last)) * here.width;
        var scores: Fours;
        for (var b = 0u; b < BLOCKS; b++) {
            for (var i = 0u; i < BR; i++) { scores[b][i] = vec4<f32>(); }
        }
        for (var begin = 0u; begin < p.dim; begin += 32u) {
            let column = min(begin + mine, (p.dim - 1u) & ~3u);
            var q4: Fours;
            for (var b = 0u; b < BLOCKS; b++) {
                for (var i = 0u; i < BR; i++) { q4[b][i] = q_load(q_rows[b][i] + column, p.dim - column); }
            }
            let vec4s = min(8u, (p.dim - begin + 3u) / 4u);
            for (var l = 0u; l < vec4s; l++) {
                let d = begin + l * 4u;
                let n = p.dim - d;
                let k = k_rows + d;
                let k4 = transpose(mat4x4<f32>(k_load(k.x, n), k_load(k.y, n), k_load(k.z, n), k_load(k.w, n)));
                for (var b = 0u; b < BLOCKS; b++) {
                    for (var i = 0u; i < BR; i++) {
                        let x = subgroupShuffle(q4[b][i], l);
                        scores[b][i] = fma(x.wwww, k4[3], fma(x.zzzz, k4[2], fma(x.yyyy, k4[1], fma(x.xxxx, k4[0], scores[b][i]))));
                    }
                }
            }
        }

        // Weights.
        let inside = key < vec4<u32>(seen.end);
        for (var b = 0u; b < BLOCKS; b++) {
            for (var i = 0u; i < BR; i++) {
                var score = scores[b][i] * p.scale;
                if (BIASED == 1u && inside.x) {
                    let query = min(here.first + b * BR + i, p.q_len - 1u);
                    score += bias_four((here.head * p.q_len + query) * p.k_len + key.x, p.k_len - key.x);
                }
                if (BIASED == 2u) { score += shift_of(key, p); }
                score = select(vec4<f32>(MASKED), score, inside);
                let before = row_max[b][i];
                row_max[b][i] = max(before, most_of(max(max(score.x, score.y), max(score.z, score.w))));
                scores[b][i] = select(vec4<f32>(), exp_p(score - row_max[b][i]), inside);
                let factor = exp_p(vec4<f32>(before - row_max[b][i])).x;
                row_sum[b][i] = row_sum[b][i] * factor + dot(scores[b][i], vec4<f32>(1.0));
                rescale(&sums, b, i, factor);
                if (PARTS == 2u) { rescale(&more, b, i, factor); }
            }
        }

        gather(&sums, &scores, seen, mine, here.keys, here.width, p);
        if (PARTS == 2u) { gather(&more, &scores, seen, VECS * 32u + mine, here.keys, here.width, p); }
    }

    for (var b = 0u; b < BLOCKS; b++) {
        for (var i = 0u; i < BR; i++) {
            let factor = 1.0 / sum_of(row_sum[b][i]);
            let query = here.first + b * BR + i;
            if (query >= p.q_len) { continue; }
            let row = here.queries + query * here.width;
            for (var c = 0u; c < VECS; c++) {
                store(row, c * 32u + mine, sums[b][i][c] * factor, p);
                if (PARTS == 2u) { store(row, (VECS + c) * 32u + mine, more[b][i][c] * factor, p); }
            }
        }
    }
}

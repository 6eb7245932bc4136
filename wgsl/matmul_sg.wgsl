// See matmul_reg. For software drivers, on which a subgroup of eight lanes is a vector register: a workgroup is one subgroup and makes TM
// rows of 64 columns, TM by 8 a lane. Of each row of x the lanes load 32 numbers at once, four each, and hand them round by shuffles;
// the weights come from matmul_pack in the order in which they are read.
// #import epilogue

struct Params { rows: u32, cols: u32, inner: u32, shard: u32, first: u32, column_groups: u32 }

struct Eight { a: vec4<f32>, b: vec4<f32> }

// A lane's eight weights of row `at` of 64.
fn weights(at: u32, lane: u32) -> Eight {
    if (FORM == 0u) { return Eight(bitcast<vec4<f32>>(packed_raw(at * 16u + lane)), bitcast<vec4<f32>>(packed_raw(at * 16u + 8u + lane))); }
    let words = packed_raw(at * 8u + lane);
    if (FORM == 2u) {
        let low = bitcast<vec4<f32>>(words << vec4<u32>(16u));
        let high = bitcast<vec4<f32>>(words & vec4<u32>(0xffff0000u));
        return Eight(vec4<f32>(low.x, high.x, low.y, high.y), vec4<f32>(low.z, high.z, low.w, high.w));
    }
    return Eight(
        vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y)),
        vec4<f32>(unpack2x16float(words.z), unpack2x16float(words.w)),
    );
}

fn matmul_sg(group: u32, lane: u32, p: Params, subgroup: Subgroup) {
    let row = group / p.column_groups * TM;
    let tile = group % p.column_groups;
    let depth = (p.inner + 31u) / 32u * 32u;
    var left: array<vec4<f32>, TM>;
    var right: array<vec4<f32>, TM>;
    var x_rows: array<u32, TM>;
    for (var i = 0u; i < TM; i++) {
        left[i] = vec4<f32>();
        right[i] = vec4<f32>();
        x_rows[i] = min(row + i, p.rows - 1u) * p.inner;
    }
    for (var k = 0u; k < depth; k += 32u) {
        let at = k + subgroup.lane * 4u;
        let inside = at < p.inner;
        let from_k = select(0u, at, inside);
        var x4: array<vec4<f32>, TM>;
        for (var i = 0u; i < TM; i++) { x4[i] = select(vec4<f32>(), x_load(x_rows[i] + from_k, p.inner - from_k), inside); }
        for (var l = 0u; l < 8u; l++) {
            let w = tile * depth + k + l * 4u;
            let w0 = weights(w, subgroup.lane);
            let w1 = weights(w + 1u, subgroup.lane);
            let w2 = weights(w + 2u, subgroup.lane);
            let w3 = weights(w + 3u, subgroup.lane);
            for (var i = 0u; i < TM; i++) {
                let x = subgroupShuffle(x4[i], l);
                left[i] = fma(x.wwww, w3.a, fma(x.zzzz, w2.a, fma(x.yyyy, w1.a, fma(x.xxxx, w0.a, left[i]))));
                right[i] = fma(x.wwww, w3.b, fma(x.zzzz, w2.b, fma(x.yyyy, w1.b, fma(x.xxxx, w0.b, right[i]))));
            }
        }
    }
    let col = tile * 64u + subgroup.lane * 4u;
    let c = column(col, p);
    for (var i = 0u; i < TM; i++) { finish(row + i, c, left[i], p); }
    let d = column(col + 32u, p);
    for (var i = 0u; i < TM; i++) { finish(row + i, d, right[i], p); }
}

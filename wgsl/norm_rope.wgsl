// rms_norm of each row, then each pair (2i, 2i + 1) of every head turned by the angle of its token and i: (a cos - b sin, a sin + b cos).
// `cos` and `sin` are [tokens, head_dim / 2], read in fours where FOURS says that this is a multiple of four; rows are tokens, columns all
// heads after one another. Needs lib/reduce and lib/row_factor.

struct Params { tokens: u32, cols: u32, half: u32, eps: f32 }

// (cos, sin) of the pair that begins in column c and of the next one.
fn turns(angles: u32, c: u32, p: Params) -> vec4<f32> {
    let angle = c / 2u % p.half;
    if (FOURS == 1u) {
        let cos4 = cos_load(angles + (angle & ~3u), 4u);
        let sin4 = sin_load(angles + (angle & ~3u), 4u);
        return select(vec4<f32>(cos4.x, sin4.x, cos4.y, sin4.y), vec4<f32>(cos4.z, sin4.z, cos4.w, sin4.w), (angle & 2u) != 0u);
    }
    let next = angles + (c / 2u + 1u) % p.half;
    return vec4<f32>(cos_get(angles + angle), sin_get(angles + angle), cos_get(next), sin_get(next));
}

fn rotate(pair: vec2<f32>, turn: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(pair.x * turn.x - pair.y * turn.y, pair.x * turn.y + pair.y * turn.x);
}

fn norm_rope(group: u32, lane: u32, p: Params) {
    let row = group * p.cols;
    let factor = row_factor(lane, row, p.cols, p.eps);
    for (var c = lane * 4u; c < p.cols; c += WG * 4u) {
        let n = p.cols - c;
        let x4 = x_load(row + c, n) * factor * weight_load(c, n);
        let turn = turns(group * p.half, c, p);
        out_store(row + c, n, vec4<f32>(rotate(x4.xy, turn.xy), rotate(x4.zw, turn.zw)));
    }
}

// rms_norm of each row, then each pair (2i, 2i + 1) of every head turned by the angle of its token and i: (a cos - b sin, a sin + b cos).
// `cos` and `sin` are [tokens, head_dim / 2]; rows are tokens, columns all heads after one another. Needs lib/row_factor.

struct Params { tokens: u32, cols: u32, half: u32, eps: f32 }

fn rotate(pair: vec2<f32>, angle: u32) -> vec2<f32> {
    let c = cos_get(angle);
    let s = sin_get(angle);
    return vec2<f32>(pair.x * c - pair.y * s, pair.x * s + pair.y * c);
}

fn norm_rope(group: u32, lane: u32, p: Params) {
    let row = group * p.cols;
    let angles = group * p.half;
    let factor = row_factor(lane, row, p.cols, p.eps);
    for (var c = lane * 4u; c < p.cols; c += WG * 4u) {
        let n = p.cols - c;
        let x4 = x_load(row + c, n) * factor * weight_load(c, n);
        out_store(row + c, n, vec4<f32>(rotate(x4.xy, angles + c / 2u % p.half), rotate(x4.zw, angles + (c / 2u + 1u) % p.half)));
    }
}

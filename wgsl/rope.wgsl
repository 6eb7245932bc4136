// Rotates each pair (2i, 2i + 1) of every head by the angle of its token and i: out = (a cos - b sin, a sin + b cos).
// `cos` and `sin` are [tokens, head_dim / 2]; rows are tokens, columns all heads after one another, in fours (two pairs).

struct Params { tokens: u32, cols: u32, half: u32, count: u32 }

fn rotate(pair: vec2<f32>, angle: u32) -> vec2<f32> {
    let c = cos_get(angle);
    let s = sin_get(angle);
    return vec2<f32>(pair.x * c - pair.y * s, pair.x * s + pair.y * c);
}

fn rope(group: u32, lane: u32, p: Params) {
    let four = group * WG + lane;
    if (four >= p.count) { return; }
    let fours = (p.cols + 3u) / 4u;
    let token = four / fours;
    let c = four % fours * 4u;
    let n = p.cols - c;
    let e = token * p.cols + c;
    let x4 = x_load(e, n);
    let angles = token * p.half;
    out_store(e, n, vec4<f32>(rotate(x4.xy, angles + c / 2u % p.half), rotate(x4.zw, angles + (c / 2u + 1u) % p.half)));
}

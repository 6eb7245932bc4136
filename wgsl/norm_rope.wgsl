// rms_norm of each row, then each pair (2i, 2i + 1) of every head rotated by the angle of its token and i: (a cos - b sin, a sin + b cos).
// `cos` and `sin` are [tokens, head_dim / 2], read in vec4s where VEC4S says that this is a multiple of four; rows are tokens, columns all
// heads after one another.
// #import row_factor

struct Params { tokens: u32, cols: u32, half: u32, eps: f32 }

fn rotate(pair: vec2<f32>, turn: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(pair.x * turn.x - pair.y * turn.y, pair.x * turn.y + pair.y * turn.x);
}

// Two pairs from column c on, of which `turns` are (cos, sin).
fn rotate_four(row: u32, c: u32, factor: f32, turns: vec4<f32>, p: Params) {
    let n = p.cols - c;
    let x4 = x_load(row + c, n) * factor * weight_load(c, n);
    out_store(row + c, n, vec4<f32>(rotate(x4.xy, turns.xy), rotate(x4.zw, turns.zw)));
}

fn norm_rope(group: u32, lane: u32, p: Params) {
    let row = group * p.cols;
    let angles = group * p.half;
    let factor = row_factor(lane, row, p.cols, p.eps);
    if (VEC4S == 1u) {
        for (var c = lane * 8u; c < p.cols; c += WG * 8u) {
            let cos4 = cos_load(angles + c / 2u % p.half, 4u);
            let sin4 = sin_load(angles + c / 2u % p.half, 4u);
            rotate_four(row, c, factor, vec4<f32>(cos4.x, sin4.x, cos4.y, sin4.y), p);
            rotate_four(row, c + 4u, factor, vec4<f32>(cos4.z, sin4.z, cos4.w, sin4.w), p);
        }
    } else {
        for (var c = lane * 4u; c < p.cols; c += WG * 4u) {
            let first = angles + c / 2u % p.half;
            let second = angles + (c / 2u + 1u) % p.half;
            rotate_four(row, c, factor, vec4<f32>(cos_get(first), sin_get(first), cos_get(second), sin_get(second)), p);
        }
    }
}

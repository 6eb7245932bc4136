// rms_norm of each row, then each pair (2i, 2i + 1) of every head rotated by the angle of its token and i: (a cos - b sin, a sin + b cos).
// `cos` and `sin` are [tokens, head_dim / 2], read by vec4 where ALIGNED4 says that this is a multiple of four; rows are tokens, columns
// all heads after one another. LANES threads have a row.
// #import inverse_rms

struct Params { tokens: u32, cols: u32, half_dim: u32, eps: f32 }

fn rotate(pair: vec2<f32>, cos_sin: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(pair.x * cos_sin.x - pair.y * cos_sin.y, pair.x * cos_sin.y + pair.y * cos_sin.x);
}

// Two pairs from column c on, of which `cos_sin` are (cos, sin).
fn rotate_four(start: u32, c: u32, factor: f32, cos_sin: vec4<f32>, p: Params) {
    let n = p.cols - c;
    let x4 = x_load(start + c, n) * factor * weight_load(c, n);
    out_store(start + c, n, vec4<f32>(rotate(x4.xy, cos_sin.xy), rotate(x4.zw, cos_sin.zw)));
}

fn norm_rope(group: u32, thread: u32, p: Params) {
    let token = group * (WG / LANES) + thread / LANES;
    let lane = thread % LANES;
    let start = token * p.cols;
    let cols = select(0u, p.cols, token < p.tokens);
    let cos_sin_base = token * p.half_dim;
    let factor = inverse_rms(thread, start, cols, p.eps);
    if (ALIGNED4 == 1u) {
        for (var c = lane * 8u; c < cols; c += LANES * 8u) {
            let cos4 = cos_load(cos_sin_base + c / 2u % p.half_dim, 4u);
            let sin4 = sin_load(cos_sin_base + c / 2u % p.half_dim, 4u);
            rotate_four(start, c, factor, vec4<f32>(cos4.x, sin4.x, cos4.y, sin4.y), p);
            rotate_four(start, c + 4u, factor, vec4<f32>(cos4.z, sin4.z, cos4.w, sin4.w), p);
        }
    } else {
        for (var c = lane * 4u; c < cols; c += LANES * 4u) {
            let first = cos_sin_base + c / 2u % p.half_dim;
            let second = cos_sin_base + (c / 2u + 1u) % p.half_dim;
            rotate_four(start, c, factor, vec4<f32>(cos_get(first), sin_get(first), cos_get(second), sin_get(second)), p);
        }
    }
}

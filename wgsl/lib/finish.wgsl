// What follows the sums of a convolution, bias and all: activation and residual, or, with `last` of Params, residual and
// activation. Slots are slope, residual and out.
// #import activation

// The activation; with ACT 255 each channel has a slope of its own for numbers below 0.
fn activate_channels(x: vec4<f32>, col: u32, n: u32) -> vec4<f32> {
    if (ACT == 255u) { return select(x, x * slope_load(col, n), x < vec4<f32>()); }
    return activate(x);
}

// Stores the result of up to four channels from `col` on, which are at `e`.
fn finish(e: u32, col: u32, n: u32, sum: vec4<f32>, p: Params) {
    let residual = residual_load(e, n);
    let before = select(vec4<f32>(), residual, p.last == 1u);
    let after = select(residual, vec4<f32>(), p.last == 1u);
    out_store(e, n, after + activate_channels(before + sum, col, n));
}

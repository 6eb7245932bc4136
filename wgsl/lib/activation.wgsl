// Activations, chosen by the constant ACT: `activate` is made of the formulas in src/gpu/activation.rs. This is what they share.
// #import activate

// Abramowitz and Stegun 7.1.26: within 1.5e-7 everywhere.
fn erf(x: vec4<f32>) -> vec4<f32> {
    let t = 1.0 / (1.0 + 0.3275911 * abs(x));
    let poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return sign(x) * (1.0 - poly * exp(-min(x * x, vec4<f32>(80.0))));
}

// The argument is kept where e^x is finite: some drivers answer NaN beyond.
fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp(-clamp(x, vec4<f32>(-80.0), vec4<f32>(80.0))));
}

// NaN stays NaN, by its bits: min, max and clamp drop it on many drivers, which would pass for a result.
fn hard_tanh(x: vec4<f32>) -> vec4<f32> {
    let is_nan = (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
    return select(clamp(x, vec4<f32>(-1.0), vec4<f32>(1.0)), x, is_nan);
}

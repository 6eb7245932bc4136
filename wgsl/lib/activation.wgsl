// Activations, chosen by the constant ACT: 0 none, 1 SiLU, 2 GELU (tanh), 3 GELU (erf), 4 quick GELU, 5 leaky ReLU 0.2 times sqrt
// 2, 6 ReLU, 7 hard tanh, 8 ReLU 6, 9 sigmoid, 10 hard swish.

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

fn activate(x: vec4<f32>) -> vec4<f32> {
    if (ACT == 1u) { return x * sigmoid(x); }
    // 0.5 (1 + tanh y) is sigmoid(2 y), which keeps its precision where tanh y is near -1.
    if (ACT == 2u) { return x * sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x)); }
    if (ACT == 3u) { return 0.5 * x * (1.0 + erf(x * 0.7071067811865476)); }
    if (ACT == 4u) { return x * sigmoid(1.702 * x); }
    if (ACT == 5u) { return select(0.2 * x, x, x > vec4<f32>(0.0)) * 1.4142135623730951; }
    if (ACT == 6u) { return max(x, vec4<f32>(0.0)); }
    if (ACT == 7u) { return hard_tanh(x); }
    if (ACT == 8u) { return clamp(x, vec4<f32>(), vec4<f32>(6.0)); }
    if (ACT == 9u) { return sigmoid(x); }
    if (ACT == 10u) { return x * clamp(x / 6.0 + 0.5, vec4<f32>(), vec4<f32>(1.0)); }
    return x;
}

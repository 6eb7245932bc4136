// out = f(x), element by element; FUNCTION says which f, `a` and `b` are its settings.
// #import activation

struct Params { count: u32, a: f32, b: f32 }

// log(1 + e^x)
fn softplus(x: vec4<f32>) -> vec4<f32> {
    return max(x, vec4<f32>()) + log(1.0 + exp(-min(abs(x), vec4<f32>(80.0))));
}

// By its size: e^x stays finite.
fn tanh_of(x: vec4<f32>) -> vec4<f32> {
    return sign(x) * (1.0 - 2.0 / (exp(2.0 * min(abs(x), vec4<f32>(40.0))) + 1.0));
}

fn function(x: vec4<f32>, a: f32, b: f32) -> vec4<f32> {
    switch FUNCTION {
        case 0u: { return tanh_of(x); }
        case 1u: { return exp(x); }
        case 2u: { return sqrt(x); }
        case 3u: { return erf(x); }
        case 4u: { return softplus(x); }
        case 5u: { return x * tanh_of(softplus(x)); }
        case 6u: { return abs(x); }
        case 7u: { return 1.0 / x; }
        case 8u: { return clamp(x, vec4<f32>(a), vec4<f32>(b)); }
        case 9u: { return select(x, a * x, x < vec4<f32>()); }
        case 10u: { return clamp(a * x + b, vec4<f32>(), vec4<f32>(1.0)); }
        default: { return a * x + b; }
    }
}

fn unary(group: u32, thread: u32, p: Params) {
    let e = (group * WG + thread) * 4u;
    if (e >= p.count) { return; }
    out_store(e, 4u, function(x_load(e, 4u), p.a, p.b));
}

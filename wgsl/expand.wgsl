// out = scale * the numbers that `stored` holds in the form FORMAT, whose rows are whole blocks. Needs lib/codes and all of lib/load_*.
//
// Apart from the scale no form rounds more than once: scales and minima have 11 bits, and what they are multiplied with has few. So it
// makes no difference whether a driver contracts a product and a sum into one operation.

struct Params { count: u32, cols: u32, scale: f32 }

fn numbers4(e: u32) -> vec4<f32> {
    if (FORMAT == 0u) { return load_f8e4m3(e); }
    if (FORMAT == 1u) { return load_f8e5m2(e); }
    if (FORMAT == 2u) { return load_i8(e); }
    if (FORMAT == 3u) { return load_q4_0(e / 32u * 18u, e % 32u); }
    if (FORMAT == 4u) { return load_q4_1(e / 32u * 20u, e % 32u); }
    if (FORMAT == 5u) { return load_q5_0(e / 32u * 22u, e % 32u); }
    if (FORMAT == 6u) { return load_q5_1(e / 32u * 24u, e % 32u); }
    if (FORMAT == 7u) { return load_q8_0(e / 32u * 34u, e % 32u); }
    if (FORMAT == 8u) { return load_q2_k(e / 256u * 84u, e % 256u); }
    if (FORMAT == 9u) { return load_q3_k(e / 256u * 110u, e % 256u); }
    if (FORMAT == 10u) { return load_q4_k(e / 256u * 144u, e % 256u); }
    if (FORMAT == 11u) { return load_q5_k(e / 256u * 176u, e % 256u); }
    if (FORMAT == 12u) { return load_q6_k(e / 256u * 210u, e % 256u); }
    if (FORMAT == 13u) { return load_iq4_nl(e / 32u * 18u, e % 32u); }
    return load_iq4_xs(e / 256u * 136u, e % 256u);
}

// The nearest numbers that f16 has, of two equally near ones the even one: what is stored as f16 then is the same on every driver.
fn nearest_half(x: vec4<f32>) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(x);
    let odd = (bits >> vec4<u32>(13u)) & vec4<u32>(1u);
    let normal = bitcast<vec4<f32>>((bits + vec4<u32>(0xfffu) + odd) & vec4<u32>(0xffffe000u));
    // 2^24 and its inverse: below 2^-14, f16 has the multiples of 2^-24.
    let small = round(x * 16777216.0) * 5.9604644775390625e-8;
    return select(normal, small, abs(x) < vec4<f32>(6.103515625e-5));
}

// A lane makes FOURS times four numbers, a workgroup those that lie together.
const FOURS = 4u;

fn expand(group: u32, lane: u32, p: Params) {
    for (var i = 0u; i < FOURS; i++) {
        let e = ((group * FOURS + i) * WG + lane) * 4u;
        if (e >= p.count) { return; }
        var factor = p.scale;
        if (ROW_SCALES == 1u) { factor = scales_get(e / p.cols); }
        var x = factor * numbers4(e);
        if (HALF == 1u) { x = nearest_half(x); }
        out_store(e, 4u, x);
    }
}

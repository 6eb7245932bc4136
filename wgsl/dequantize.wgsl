// out = scale * the numbers that `stored` holds in the form FORMAT, whose rows are whole blocks.
//
// Apart from the scale no form rounds more than once: scales and minima have 11 bits, and what they are multiplied with has few. So it
// makes no difference whether a driver contracts a product and a sum into one operation.

struct Params { count: u32, cols: u32, scale: f32 }

// Numbers of a few bits in `stored`, little-endian words, by byte offset `at`. Functions of an element `i` give the four
// numbers from it on, which is a multiple of four. What they make of the bits is exact, and independent of how a driver
// treats numbers too small for f16's or f32's normal range.

fn word_at(at: u32) -> u32 {
    let word = stored_get(at >> 2u);
    let shift = (at & 3u) * 8u;
    if (shift == 0u) { return word; }
    return (word >> shift) | (stored_get((at >> 2u) + 1u) << (32u - shift));
}

fn byte_at(at: u32) -> u32 { return (stored_get(at >> 2u) >> ((at & 3u) * 8u)) & 0xffu; }

fn bytes4(at: u32) -> vec4<u32> { return (vec4<u32>(word_at(at)) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu); }

fn as_signed(bytes: vec4<u32>) -> vec4<f32> { return vec4<f32>(bitcast<vec4<i32>>(bytes << vec4<u32>(24u)) >> vec4<u32>(24u)); }

// An f16 at an even offset.
fn f16_at(at: u32) -> f32 {
    let bits = stored_get(at >> 2u) >> ((at & 2u) * 8u);
    let normal = bitcast<f32>(((bits & 0x7fffu) << 13u) + 0x38000000u);
    let magnitude = select(normal, f32(bits & 0x3ffu) * 5.9604644775390625e-8, (bits & 0x7c00u) == 0u);
    return select(magnitude, -magnitude, (bits & 0x8000u) != 0u);
}

// Of 32 numbers of 4 bits in 16 bytes, the low nibbles first.
fn nibbles_of_32(at: u32, i: u32) -> vec4<u32> { return (bytes4(at + (i & 15u)) >> vec4<u32>((i >> 4u) * 4u)) & vec4<u32>(15u); }

// Of 256 numbers: each 32 bytes hold 64 of them, the low nibbles first.
fn nibbles_of_256(at: u32, i: u32) -> vec4<u32> {
    return (bytes4(at + i / 64u * 32u + i % 32u) >> vec4<u32>(i % 64u / 32u * 4u)) & vec4<u32>(15u);
}

// Of 256 numbers: each 32 bytes hold 128 of them, 32 to each pair of bits.
fn pairs4(at: u32, i: u32) -> vec4<u32> {
    return (bytes4(at + i / 128u * 32u + i % 32u) >> vec4<u32>(i % 128u / 32u * 2u)) & vec4<u32>(3u);
}

// Bit `i` and the three that follow it.
fn bits4(word: u32, i: u32) -> vec4<u32> { return (vec4<u32>(word) >> (vec4<u32>(i) + vec4<u32>(0u, 1u, 2u, 3u))) & vec4<u32>(1u); }

// Scale and minimum of group `i` of eight, 6 bits each, from 12 bytes.
fn scale_and_minimum(at: u32, i: u32) -> vec2<f32> {
    if (i < 4u) { return vec2<f32>(f32(byte_at(at + i) & 63u), f32(byte_at(at + i + 4u) & 63u)); }
    let last = byte_at(at + i + 4u);
    let high = vec2<u32>(byte_at(at + i - 4u), byte_at(at + i)) & vec2<u32>(0xc0u);
    return vec2<f32>(vec2<u32>(last & 15u, last >> 4u) | (high >> vec2<u32>(2u)));
}

// The table of both formats of 4-bit codes.
fn codebook(i: u32) -> f32 {
    // -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113
    let words = vec4<u32>(0xbfad9881u, 0xf6eaddcfu, 0x26190d01u, 0x71594535u);
    return f32(bitcast<i32>(words[i >> 2u] << (24u - (i & 3u) * 8u)) >> 24u);
}

fn codebook4(i: vec4<u32>) -> vec4<f32> { return vec4<f32>(codebook(i.x), codebook(i.y), codebook(i.z), codebook(i.w)); }

// One sign, four exponent and three mantissa bits.
fn load_f8e4m3(e: u32) -> vec4<f32> {
    let codes = bytes4(e);
    let bits = codes & vec4<u32>(0x7fu);
    let normal = bitcast<vec4<f32>>((bits << vec4<u32>(20u)) + vec4<u32>(0x3c000000u));
    let magnitude = select(normal, vec4<f32>(bits) * 0.001953125, bits < vec4<u32>(8u));
    return select(magnitude, -magnitude, codes > vec4<u32>(0x7fu));
}

// One sign, five exponent and two mantissa bits: the upper byte of an f16.
fn load_f8e5m2(e: u32) -> vec4<f32> {
    let codes = bytes4(e);
    let bits = codes & vec4<u32>(0x7fu);
    let normal = bitcast<vec4<f32>>((bits << vec4<u32>(21u)) + vec4<u32>(0x38000000u));
    let magnitude = select(normal, vec4<f32>(bits) * 0.0000152587890625, bits < vec4<u32>(4u));
    return select(magnitude, -magnitude, codes > vec4<u32>(0x7fu));
}

fn load_i8(e: u32) -> vec4<f32> { return as_signed(bytes4(e)); }

// 32 numbers of 4 bits around 8, one scale: 18 bytes.
fn load_q4_0(at: u32, i: u32) -> vec4<f32> { return f16_at(at) * (vec4<f32>(nibbles_of_32(at + 2u, i)) - 8.0); }

// 32 numbers of 4 bits, a scale and a minimum: 20 bytes.
fn load_q4_1(at: u32, i: u32) -> vec4<f32> { return f16_at(at) * vec4<f32>(nibbles_of_32(at + 4u, i)) + f16_at(at + 2u); }

// 32 numbers of 5 bits around 16, one scale: 22 bytes.
fn load_q5_0(at: u32, i: u32) -> vec4<f32> {
    let fifth = bits4(word_at(at + 2u), i) << vec4<u32>(4u);
    return f16_at(at) * (vec4<f32>(nibbles_of_32(at + 6u, i) | fifth) - 16.0);
}

// 32 numbers of 5 bits, a scale and a minimum: 24 bytes.
fn load_q5_1(at: u32, i: u32) -> vec4<f32> {
    let fifth = bits4(word_at(at + 4u), i) << vec4<u32>(4u);
    return f16_at(at) * vec4<f32>(nibbles_of_32(at + 8u, i) | fifth) + f16_at(at + 2u);
}

// 32 signed bytes, one scale: 34 bytes.
fn load_q8_0(at: u32, i: u32) -> vec4<f32> { return f16_at(at) * as_signed(bytes4(at + 2u + i)); }

// 256 numbers of 2 bits, a scale and a minimum of 4 bits for each 16: 84 bytes.
fn load_q2_k(at: u32, i: u32) -> vec4<f32> {
    let scale = byte_at(at + i / 16u);
    let minimum = f16_at(at + 82u) * f32(scale >> 4u);
    return f16_at(at + 80u) * f32(scale & 15u) * vec4<f32>(pairs4(at + 16u, i)) - minimum;
}

// 256 numbers of 3 bits around 4, a scale of 6 bits around 32 for each 16: 110 bytes.
fn load_q3_k(at: u32, i: u32) -> vec4<f32> {
    let group = i / 16u;
    let low = (byte_at(at + 96u + group % 8u) >> (group / 8u * 4u)) & 15u;
    let high = (byte_at(at + 104u + group % 4u) >> (group / 4u * 2u)) & 3u;
    let third = ((bytes4(at + i % 32u) >> vec4<u32>(i / 32u)) & vec4<u32>(1u)) << vec4<u32>(2u);
    return f16_at(at + 108u) * (f32(low | (high << 4u)) - 32.0) * (vec4<f32>(pairs4(at + 32u, i) | third) - 4.0);
}

// 256 numbers of 4 bits, a scale and a minimum of 6 bits for each 32: 144 bytes.
fn load_q4_k(at: u32, i: u32) -> vec4<f32> {
    let group = scale_and_minimum(at + 4u, i / 32u);
    return f16_at(at) * group.x * vec4<f32>(nibbles_of_256(at + 16u, i)) - f16_at(at + 2u) * group.y;
}

// 256 numbers of 5 bits, a scale and a minimum of 6 bits for each 32: 176 bytes.
fn load_q5_k(at: u32, i: u32) -> vec4<f32> {
    let group = scale_and_minimum(at + 4u, i / 32u);
    let fifth = ((bytes4(at + 16u + i % 32u) >> vec4<u32>(i / 32u)) & vec4<u32>(1u)) << vec4<u32>(4u);
    return f16_at(at) * group.x * vec4<f32>(nibbles_of_256(at + 48u, i) | fifth) - f16_at(at + 2u) * group.y;
}

// 256 numbers of 6 bits around 32, a signed byte as scale for each 16: 210 bytes.
fn load_q6_k(at: u32, i: u32) -> vec4<f32> {
    // Each 64 bytes hold the low bits of 128 numbers, low nibbles first.
    let low = (bytes4(at + i / 128u * 64u + i % 64u) >> vec4<u32>(i % 128u / 64u * 4u)) & vec4<u32>(15u);
    let scale = as_signed(vec4<u32>(byte_at(at + 192u + i / 16u))).x;
    return f16_at(at + 208u) * scale * (vec4<f32>(low | (pairs4(at + 128u, i) << vec4<u32>(4u))) - 32.0);
}

// 32 codes of 4 bits in a codebook, one scale: 18 bytes.
fn load_iq4_nl(at: u32, i: u32) -> vec4<f32> { return f16_at(at) * codebook4(nibbles_of_32(at + 2u, i)); }

// 256 codes of 4 bits in a codebook, a scale of 6 bits around 32 for each 32: 136 bytes.
fn load_iq4_xs(at: u32, i: u32) -> vec4<f32> {
    let group = i / 32u;
    let low = (byte_at(at + 4u + group / 2u) >> (group % 2u * 4u)) & 15u;
    let high = (byte_at(at + 2u + group / 4u) >> (group % 4u * 2u)) & 3u;
    return f16_at(at) * (f32(low | (high << 4u)) - 32.0) * codebook4(nibbles_of_32(at + 8u + group * 16u, i % 32u));
}

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
fn nearest_f16(x: vec4<f32>) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(x);
    let odd = (bits >> vec4<u32>(13u)) & vec4<u32>(1u);
    let normal = bitcast<vec4<f32>>((bits + vec4<u32>(0xfffu) + odd) & vec4<u32>(0xffffe000u));
    // 2^24 and its inverse: below 2^-14, f16 has the multiples of 2^-24.
    let small = round(x * 16777216.0) * 5.9604644775390625e-8;
    return select(normal, small, abs(x) < vec4<f32>(6.103515625e-5));
}

// A thread makes VECS times four numbers, a workgroup those that lie together.
const VECS = 4u;

fn dequantize(group: u32, thread: u32, p: Params) {
    for (var i = 0u; i < VECS; i++) {
        let e = ((group * VECS + i) * WG + thread) * 4u;
        if (e >= p.count) { return; }
        var factor = p.scale;
        if (ROW_SCALES == 1u) { factor = scales_get(e / p.cols); }
        var x = factor * numbers4(e);
        if (F16_OUT == 1u) { x = nearest_f16(x); }
        out_store(e, 4u, x);
    }
}

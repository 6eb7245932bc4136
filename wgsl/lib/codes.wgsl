// Numbers of a few bits in a kernel's slot `stored`, little-endian words, by byte offset `at`. Four functions end in 4: they give the four
// numbers from an element `i` on, which is a multiple of four. What they make of the bits is exact, and independent of how a driver
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
fn half_at(at: u32) -> f32 {
    let bits = stored_get(at >> 2u) >> ((at & 2u) * 8u);
    let normal = bitcast<f32>(((bits & 0x7fffu) << 13u) + 0x38000000u);
    let magnitude = select(normal, f32(bits & 0x3ffu) * 5.9604644775390625e-8, (bits & 0x7c00u) == 0u);
    return select(magnitude, -magnitude, (bits & 0x8000u) != 0u);
}

// Of 32 numbers of 4 bits in 16 bytes, the low halves first.
fn nibbles4(at: u32, i: u32) -> vec4<u32> { return (bytes4(at + (i & 15u)) >> vec4<u32>((i >> 4u) * 4u)) & vec4<u32>(15u); }

// Of 256 numbers: each 32 bytes hold 64 of them, the low halves first.
fn half_bytes4(at: u32, i: u32) -> vec4<u32> {
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

// The table of both formats of 4-bit places.
fn place(i: u32) -> f32 {
    // -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113
    let words = vec4<u32>(0xbfad9881u, 0xf6eaddcfu, 0x26190d01u, 0x71594535u);
    return f32(bitcast<i32>(words[i >> 2u] << (24u - (i & 3u) * 8u)) >> 24u);
}

fn places4(i: vec4<u32>) -> vec4<f32> { return vec4<f32>(place(i.x), place(i.y), place(i.z), place(i.w)); }

// 32 numbers of 4 bits, a scale and a minimum: 20 bytes.
fn load_q4_1(at: u32, i: u32) -> vec4<f32> { return half_at(at) * vec4<f32>(nibbles4(at + 4u, i)) + half_at(at + 2u); }

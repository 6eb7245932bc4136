// 32 numbers of 4 bits around 8, one scale: 18 bytes.
fn load_q4_0(at: u32, i: u32) -> vec4<f32> { return half_at(at) * (vec4<f32>(nibbles4(at + 2u, i)) - 8.0); }

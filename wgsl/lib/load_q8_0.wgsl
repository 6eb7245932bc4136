// 32 signed bytes, one scale: 34 bytes.
fn load_q8_0(at: u32, i: u32) -> vec4<f32> { return half_at(at) * as_signed(bytes4(at + 2u + i)); }

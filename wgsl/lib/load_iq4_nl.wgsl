// 32 places of 4 bits in a table, one scale: 18 bytes.
fn load_iq4_nl(at: u32, i: u32) -> vec4<f32> { return half_at(at) * places4(nibbles4(at + 2u, i)); }

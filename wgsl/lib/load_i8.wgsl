fn load_i8(e: u32) -> vec4<f32> { return as_signed(bytes4(e)); }

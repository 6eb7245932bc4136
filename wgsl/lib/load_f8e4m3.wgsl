// One sign, four exponent and three mantissa bits.
fn load_f8e4m3(e: u32) -> vec4<f32> {
    let codes = bytes4(e);
    let bits = codes & vec4<u32>(0x7fu);
    let normal = bitcast<vec4<f32>>((bits << vec4<u32>(20u)) + vec4<u32>(0x3c000000u));
    let magnitude = select(normal, vec4<f32>(bits) * 0.001953125, bits < vec4<u32>(8u));
    return select(magnitude, -magnitude, codes > vec4<u32>(0x7fu));
}

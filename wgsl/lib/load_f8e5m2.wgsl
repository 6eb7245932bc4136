// One sign, five exponent and two mantissa bits: the upper byte of an f16.
fn load_f8e5m2(e: u32) -> vec4<f32> {
    let codes = bytes4(e);
    let bits = codes & vec4<u32>(0x7fu);
    let normal = bitcast<vec4<f32>>((bits << vec4<u32>(21u)) + vec4<u32>(0x38000000u));
    let magnitude = select(normal, vec4<f32>(bits) * 0.0000152587890625, bits < vec4<u32>(4u));
    return select(magnitude, -magnitude, codes > vec4<u32>(0x7fu));
}

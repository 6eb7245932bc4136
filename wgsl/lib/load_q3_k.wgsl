// 256 numbers of 3 bits around 4, a scale of 6 bits around 32 for each 16: 110 bytes.
fn load_q3_k(at: u32, i: u32) -> vec4<f32> {
    let group = i / 16u;
    let low = (byte_at(at + 96u + group % 8u) >> (group / 8u * 4u)) & 15u;
    let high = (byte_at(at + 104u + group % 4u) >> (group / 4u * 2u)) & 3u;
    let third = ((bytes4(at + i % 32u) >> vec4<u32>(i / 32u)) & vec4<u32>(1u)) << vec4<u32>(2u);
    return half_at(at + 108u) * (f32(low | (high << 4u)) - 32.0) * (vec4<f32>(pairs4(at + 32u, i) | third) - 4.0);
}

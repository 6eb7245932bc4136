// 256 numbers of 6 bits around 32, a signed byte as scale for each 16: 210 bytes.
fn load_q6_k(at: u32, i: u32) -> vec4<f32> {
    // Each 64 bytes hold the low bits of 128 numbers, low halves first.
    let low = (bytes4(at + i / 128u * 64u + i % 64u) >> vec4<u32>(i % 128u / 64u * 4u)) & vec4<u32>(15u);
    let scale = as_signed(vec4<u32>(byte_at(at + 192u + i / 16u))).x;
    return half_at(at + 208u) * scale * (vec4<f32>(low | (pairs4(at + 128u, i) << vec4<u32>(4u))) - 32.0);
}

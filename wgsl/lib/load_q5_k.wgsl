// 256 numbers of 5 bits, a scale and a minimum of 6 bits for each 32: 176 bytes.
fn load_q5_k(at: u32, i: u32) -> vec4<f32> {
    let group = scale_and_minimum(at + 4u, i / 32u);
    let fifth = ((bytes4(at + 16u + i % 32u) >> vec4<u32>(i / 32u)) & vec4<u32>(1u)) << vec4<u32>(4u);
    return half_at(at) * group.x * vec4<f32>(half_bytes4(at + 48u, i) | fifth) - half_at(at + 2u) * group.y;
}

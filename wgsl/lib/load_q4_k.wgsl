// 256 numbers of 4 bits, a scale and a minimum of 6 bits for each 32: 144 bytes.
fn load_q4_k(at: u32, i: u32) -> vec4<f32> {
    let group = scale_and_minimum(at + 4u, i / 32u);
    return half_at(at) * group.x * vec4<f32>(half_bytes4(at + 16u, i)) - half_at(at + 2u) * group.y;
}

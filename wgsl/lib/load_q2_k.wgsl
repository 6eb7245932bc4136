// 256 numbers of 2 bits, a scale and a minimum of 4 bits for each 16: 84 bytes.
fn load_q2_k(at: u32, i: u32) -> vec4<f32> {
    let scale = byte_at(at + i / 16u);
    let minimum = half_at(at + 82u) * f32(scale >> 4u);
    return half_at(at + 80u) * f32(scale & 15u) * vec4<f32>(pairs4(at + 16u, i)) - minimum;
}

// 256 places of 4 bits in a table, a scale of 6 bits around 32 for each 32: 136 bytes.
fn load_iq4_xs(at: u32, i: u32) -> vec4<f32> {
    let group = i / 32u;
    let low = (byte_at(at + 4u + group / 2u) >> (group % 2u * 4u)) & 15u;
    let high = (byte_at(at + 2u + group / 4u) >> (group % 4u * 2u)) & 3u;
    return half_at(at) * (f32(low | (high << 4u)) - 32.0) * places4(nibbles4(at + 8u + group * 16u, i % 32u));
}

// 32 numbers of 5 bits, a scale and a minimum: 24 bytes.
fn load_q5_1(at: u32, i: u32) -> vec4<f32> {
    let fifth = bits4(word_at(at + 4u), i) << vec4<u32>(4u);
    return half_at(at) * vec4<f32>(nibbles4(at + 8u, i) | fifth) + half_at(at + 2u);
}

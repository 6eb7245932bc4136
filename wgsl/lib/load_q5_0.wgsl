// 32 numbers of 5 bits around 16, one scale: 22 bytes.
fn load_q5_0(at: u32, i: u32) -> vec4<f32> {
    let fifth = bits4(word_at(at + 2u), i) << vec4<u32>(4u);
    return half_at(at) * (vec4<f32>(nibbles4(at + 6u, i) | fifth) - 16.0);
}

// Four numbers of the bias from e on, of which n are wanted.
fn bias_four(e: u32, n: u32) -> vec4<f32> {
    return vec4<f32>(bias_get(e), bias_get(e + min(1u, n - 1u)), bias_get(e + min(2u, n - 1u)), bias_get(e + min(3u, n - 1u)));
}

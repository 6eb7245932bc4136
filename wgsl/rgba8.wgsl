// out[y, x] = pixel (x, y) of `frames` [F, H, W, 3] in -1..1, one frame below the other, as bytes R, G, B and 255 in a word; rows of it are
// `stride` words long. `fault` is 1 where a sample is not finite.

struct Params { count: u32, width: u32, stride: u32 }

fn rgba8(group: u32, thread: u32, p: Params) {
    let pixel = group * WG + thread;
    if (pixel >= p.count) { return; }
    let samples = vec3<f32>(frames_get(pixel * 3u), frames_get(pixel * 3u + 1u), frames_get(pixel * 3u + 2u));
    let exponents = bitcast<vec3<u32>>(samples) & vec3<u32>(0x7f800000u);
    if (any(exponents == vec3<u32>(0x7f800000u))) { fault_set(0u, 1u); }
    let levels = vec3<u32>(round((clamp(samples, vec3<f32>(-1.0), vec3<f32>(1.0)) / 2.0 + 0.5) * 255.0));
    out_set(pixel / p.width * p.stride + pixel % p.width, levels.x | levels.y << 8u | levels.z << 16u | 0xff000000u);
}

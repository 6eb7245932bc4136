// out[i] = values[byte i of bytes]: 8-bit samples, four to a word, as the numbers that they stand for.

struct Params { count: u32 }

fn pixels(group: u32, thread: u32, p: Params) {
    let e = (group * WG + thread) * 4u;
    if (e >= p.count) { return; }
    let samples = unpack4xU8(bytes_get(e >> 2u));
    out_store(e, 4u, vec4<f32>(values_get(samples.x), values_get(samples.y), values_get(samples.z), values_get(samples.w)));
}

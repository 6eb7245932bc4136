// Each row of x as signed bytes, four in a word of `codes`, and in `scales` what they are to be multiplied with: 1/127 of the row's largest
// magnitude. Rows are multiples of four long.
// #import reduce_max

struct Params { cols: u32 }

fn quantize(group: u32, thread: u32, p: Params) {
    let row = group * p.cols;
    var most = 0.0;
    for (var c = thread * 4u; c < p.cols; c += WG * 4u) {
        let magnitudes = abs(x_load(row + c, 4u));
        most = max(most, max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w)));
    }
    let step = workgroup_max(thread, most) / 127.0;
    for (var c = thread * 4u; c < p.cols; c += WG * 4u) {
        // A row of zeros has steps of none.
        let steps = round(x_load(row + c, 4u) / max(step, 1e-30));
        let bytes = vec4<u32>(vec4<i32>(clamp(steps, vec4<f32>(-127.0), vec4<f32>(127.0)))) & vec4<u32>(0xffu);
        codes_set((row + c) / 4u, bytes.x | bytes.y << 8u | bytes.z << 16u | bytes.w << 24u);
    }
    if (thread == 0u) { scales_set(group, step); }
}

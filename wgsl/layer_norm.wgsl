// out = (x - mean) / sqrt(variance + eps) * (unit + scale) + shift, row by row, in f32; scale and shift are 0 where absent.
// `unit` is 1 for a norm without weights or with modulation, 0 where `scale` is a plain weight.
// #import reduce

struct Params { rows: u32, cols: u32, eps: f32, unit: f32 }

fn layer_norm(group: u32, thread: u32, p: Params) {
    let row = group * p.cols;
    var sum = 0.0;
    for (var c = thread * 4u; c < p.cols; c += WG * 4u) { sum += dot(x_load(row + c, p.cols - c), vec4<f32>(1.0)); }
    let mean = workgroup_sum(thread, sum) / f32(p.cols);
    var squares = 0.0;
    for (var c = thread * 4u; c < p.cols; c += WG * 4u) {
        // Lanes past the end of a row load zeros, which must not count.
        let inside = vec4<u32>(c, c + 1u, c + 2u, c + 3u) < vec4<u32>(p.cols);
        let d = select(vec4<f32>(), x_load(row + c, p.cols - c) - mean, inside);
        squares += dot(d, d);
    }
    let factor = inverseSqrt(workgroup_sum(thread, squares) / f32(p.cols) + p.eps);
    for (var c = thread * 4u; c < p.cols; c += WG * 4u) {
        let n = p.cols - c;
        out_store(row + c, n, (x_load(row + c, n) - mean) * factor * (p.unit + scale_load(c, n)) + shift_load(c, n));
    }
}

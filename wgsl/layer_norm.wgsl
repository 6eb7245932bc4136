// out = (x - mean) / sqrt(variance + eps) * (unit + scale) + shift, row by row, in f32; scale and shift are 0 where absent.
// LANES threads have a row. `unit` is 1 for a norm without weights or with modulation, 0 where `scale` is a plain weight.
// #import reduce

struct Params { rows: u32, cols: u32, eps: f32, unit: f32 }

fn layer_norm(group: u32, thread: u32, p: Params) {
    let row = group * (WG / LANES) + thread / LANES;
    let start = row * p.cols;
    let cols = select(0u, p.cols, row < p.rows);
    let first = thread % LANES * 4u;
    var sum = 0.0;
    for (var c = first; c < cols; c += LANES * 4u) { sum += dot(x_load(start + c, cols - c), vec4<f32>(1.0)); }
    let mean = row_sum(thread, sum) / f32(p.cols);
    var squares = 0.0;
    for (var c = first; c < cols; c += LANES * 4u) {
        // Lanes past the end of a row load zeros, which must not count.
        let inside = vec4<u32>(c, c + 1u, c + 2u, c + 3u) < vec4<u32>(cols);
        let d = select(vec4<f32>(), x_load(start + c, cols - c) - mean, inside);
        squares += dot(d, d);
    }
    let factor = inverseSqrt(row_sum(thread, squares) / f32(p.cols) + p.eps);
    for (var c = first; c < cols; c += LANES * 4u) {
        let n = cols - c;
        out_store(start + c, n, (x_load(start + c, n) - mean) * factor * (p.unit + scale_load(c, n)) + shift_load(c, n));
    }
}

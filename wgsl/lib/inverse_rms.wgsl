// 1 / sqrt(mean(x * x) + eps) of a row, by all threads.
// #import reduce
fn inverse_rms(thread: u32, row: u32, cols: u32, eps: f32) -> f32 {
    var squares = 0.0;
    for (var c = thread * 4u; c < cols; c += WG * 4u) {
        let x4 = x_load(row + c, cols - c);
        squares += dot(x4, x4);
    }
    return inverseSqrt(workgroup_sum(thread, squares) / f32(cols) + eps);
}

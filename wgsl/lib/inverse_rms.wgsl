// 1 / sqrt(mean(x * x) + eps) of `cols` values from `start` on, by the LANES threads of a row.
// #import reduce
fn inverse_rms(thread: u32, start: u32, cols: u32, eps: f32) -> f32 {
    var squares = 0.0;
    for (var c = thread % LANES * 4u; c < cols; c += LANES * 4u) {
        let x4 = x_load(start + c, cols - c);
        squares += dot(x4, x4);
    }
    return inverseSqrt(row_sum(thread, squares) / f32(cols) + eps);
}

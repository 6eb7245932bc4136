// Sums over the LANES threads of a row; a workgroup has WG / LANES rows. Both are powers of two.

var<workgroup> partial: array<f32, WG>;

fn row_sum(thread: u32, value: f32) -> f32 {
    if (LANES == 1u) { return value; }
    workgroupBarrier(); // an earlier sum may still be read
    partial[thread] = value;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (thread % LANES < half) { partial[thread] += partial[thread + half]; }
    }
    workgroupBarrier();
    return partial[thread / LANES * LANES];
}

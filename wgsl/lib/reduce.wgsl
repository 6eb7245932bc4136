// Sums over the WG threads of a workgroup; WG is a power of two.

var<workgroup> partial: array<f32, WG>;

fn workgroup_sum(thread: u32, value: f32) -> f32 {
    workgroupBarrier(); // an earlier sum may still be read
    partial[thread] = value;
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) { partial[thread] += partial[thread + half]; }
    }
    workgroupBarrier();
    return partial[0];
}

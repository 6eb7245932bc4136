// Sums over the WG lanes of a workgroup; WG is a power of two.

var<workgroup> partial: array<f32, WG>;

fn workgroup_sum(lane: u32, value: f32) -> f32 {
    workgroupBarrier(); // an earlier sum may still be read
    partial[lane] = value;
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) { partial[lane] += partial[lane + half]; }
    }
    workgroupBarrier();
    return partial[0];
}

// The largest of what the WG threads of a workgroup have; WG is a power of two.

var<workgroup> largest: array<f32, WG>;

fn workgroup_max(thread: u32, value: f32) -> f32 {
    workgroupBarrier(); // an earlier one may still be read
    largest[thread] = value;
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) { largest[thread] = max(largest[thread], largest[thread + half]); }
    }
    workgroupBarrier();
    return largest[0];
}

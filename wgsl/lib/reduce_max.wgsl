// The largest of what the WG lanes of a workgroup have; WG is a power of two.

var<workgroup> largest: array<f32, WG>;

fn workgroup_max(lane: u32, value: f32) -> f32 {
    workgroupBarrier(); // an earlier one may still be read
    largest[lane] = value;
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) { largest[lane] = max(largest[lane], largest[lane + half]); }
    }
    workgroupBarrier();
    return largest[0];
}

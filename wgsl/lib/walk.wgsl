// Walks along up to six axes: their extents, of which those not needed are 1.

struct Six { e0: u32, e1: u32, e2: u32, e3: u32, e4: u32, e5: u32 }

// The index along each axis of the element of this number, from the first axis to the last.
fn indices(number: u32, s: Six) -> array<i32, 6> {
    var rest = number;
    let i5 = rest % s.e5;
    rest /= s.e5;
    let i4 = rest % s.e4;
    rest /= s.e4;
    let i3 = rest % s.e3;
    rest /= s.e3;
    let i2 = rest % s.e2;
    rest /= s.e2;
    return array<i32, 6>(i32(rest / s.e1), i32(rest % s.e1), i32(i2), i32(i3), i32(i4), i32(i5));
}

// Where the taps of a convolution lie in its input. Needs the Params of conv_reg.

// The first tap of an output pixel in frame, row and column; may be negative.
fn first_tap(pixel: u32, p: Params) -> vec3<i32> {
    let at = min(pixel, p.out_t * p.out_h * p.out_w - 1u);
    let place = vec3<u32>(at / (p.out_w * p.out_h) * p.stride_t, at / p.out_w % p.out_h * p.stride, at % p.out_w * p.stride);
    return vec3<i32>(place) - vec3<i32>(vec3<u32>(p.pad_t, p.pad_y, p.pad_x));
}

fn offset_of(tap: u32, p: Params) -> vec3<i32> {
    return vec3<i32>(vec3<u32>(tap / (p.k_w * p.k_h), tap / p.k_w % p.k_h, tap % p.k_w));
}

// Whether there is a pixel. Frames before the first are in the past, of which there are `past`.
fn is_inside(place: vec3<i32>, p: Params) -> bool {
    let size = vec3<i32>(vec3<u32>(p.in_t, p.in_h << p.up, p.in_w << p.up));
    return all(place >= vec3<i32>(-i32(p.past), 0, 0)) && all(place < size);
}

// The first channel of a place that is inside, in its tensor: `x`, or one frame of the past.
fn start_of(place: vec3<i32>, p: Params) -> u32 {
    let at = vec3<u32>(max(place, vec3<i32>()));
    return ((at.x * p.in_h + (at.y >> p.up)) * p.in_w + (at.z >> p.up)) * p.in_c;
}

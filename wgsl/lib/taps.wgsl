// What the kernels of convolutions share: where taps lie in the input.

struct Params {
    in_t: u32, in_h: u32, in_w: u32, in_c: u32,
    out_t: u32, out_h: u32, out_w: u32, out_c: u32,
    k_t: u32, k_h: u32, k_w: u32,
    stride_t: u32, stride: u32,
    pad_t: u32, pad_y: u32, pad_x: u32,
    up: u32, past: u32, last: u32, column_groups: u32,
}

// Frame, row and column of an output pixel.
fn pixel_at(pixel: u32, p: Params) -> vec3<u32> {
    let at = min(pixel, p.out_t * p.out_h * p.out_w - 1u);
    return vec3<u32>(at / (p.out_w * p.out_h), at / p.out_w % p.out_h, at % p.out_w);
}

// Of the one after it, without the divisions that software drivers take long for.
fn next_pixel(place: vec3<u32>, p: Params) -> vec3<u32> {
    let row = place.y + u32(place.z + 1u == p.out_w);
    let column = select(place.z + 1u, 0u, place.z + 1u == p.out_w);
    return select(vec3<u32>(place.x, row, column), vec3<u32>(place.x + 1u, 0u, 0u), row == p.out_h);
}

// The first tap of an output pixel in frame, row and column; may be negative.
fn first_tap_at(place: vec3<u32>, p: Params) -> vec3<i32> {
    return vec3<i32>(place * vec3<u32>(p.stride_t, p.stride, p.stride)) - vec3<i32>(vec3<u32>(p.pad_t, p.pad_y, p.pad_x));
}

fn first_tap(pixel: u32, p: Params) -> vec3<i32> {
    return first_tap_at(pixel_at(pixel, p), p);
}

fn offset_of(tap: u32, p: Params) -> vec3<i32> {
    return vec3<i32>(vec3<u32>(tap / (p.k_w * p.k_h), tap / p.k_w % p.k_h, tap % p.k_w));
}

// Of the tap after it, likewise without divisions.
fn next_tap(offset: vec3<i32>, p: Params) -> vec3<i32> {
    let row = offset.y + i32(u32(offset.z) + 1u == p.k_w);
    let column = select(offset.z + 1, 0, u32(offset.z) + 1u == p.k_w);
    return select(vec3<i32>(offset.x, row, column), vec3<i32>(offset.x + 1, 0, 0), u32(row) == p.k_h);
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

// Of frame 0 or, before it, of the past.
fn frame_load(frame: i32, e: u32, n: u32) -> vec4<f32> {
    if (frame >= 0) { return x_load(e, n); }
    if (frame == -1) { return past1_load(e, n); }
    return past2_load(e, n);
}

// out[b, y, x, c] = the largest element, or the mean, of a window of x [b, h, w, c]. Places outside the image count for neither; with `counted`, those
// in the padding do for the number of elements of a mean: `end_h` and `end_w` are where it ends, seen from the window's first place.

struct Params {
    count: u32, in_h: u32, in_w: u32, out_h: u32, out_w: u32, channels: u32,
    k_h: u32, k_w: u32, stride_h: u32, stride_w: u32, pad_h: u32, pad_w: u32, end_h: u32, end_w: u32, counted: u32,
}

fn pool(group: u32, lane: u32, p: Params) {
    let index = group * WG + lane;
    if (index >= p.count) { return; }
    let fours = (p.channels + 3u) / 4u;
    let c = index % fours * 4u;
    let n = p.channels - c;
    let pixel = index / fours;
    let image = pixel / (p.out_w * p.out_h);
    let top = pixel / p.out_w % p.out_h * p.stride_h;
    let left = pixel % p.out_w * p.stride_w;
    var result = vec4<f32>(select(0.0, -3.4028235e38, MEAN == 0u));
    var inside = 0u;
    for (var y = max(top, p.pad_h); y < min(top + p.k_h, p.pad_h + p.in_h); y++) {
        for (var x = max(left, p.pad_w); x < min(left + p.k_w, p.pad_w + p.in_w); x++) {
            let four = x_load(((image * p.in_h + y - p.pad_h) * p.in_w + x - p.pad_w) * p.channels + c, n);
            result = select(max(result, four), result + four, MEAN == 1u);
            inside++;
        }
    }
    if (MEAN == 1u) {
        let padded = (min(top + p.k_h, p.end_h) - top) * (min(left + p.k_w, p.end_w) - left);
        result /= f32(max(select(inside, padded, p.counted == 1u), 1u));
    }
    out_store(pixel * p.channels + c, n, result);
}

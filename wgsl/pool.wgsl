// out[b, y, x, c] = the largest element, or the mean, of a window of x [b, h, w, c]. Places outside the image count for neither;
// with `counted`, those in the padding do for the number of elements of a mean: `end_h` and `end_w` are where it ends, seen from
// the window's first place.
// #import window

fn pool(group: u32, thread: u32, p: Params) {
    let index = group * WG + thread;
    if (index >= p.count) { return; }
    let at = place_of(index, p);
    let n = p.channels - at.channel;
    var result = vec4<f32>(select(0.0, -3.4028235e38, MEAN == 0u));
    for (var y = at.rows.x; y < at.rows.y; y++) {
        for (var x = at.columns.x; x < at.columns.y; x++) {
            let four = x_load(element_of(at, y, x, p), n);
            result = select(max(result, four), result + four, MEAN == 1u);
        }
    }
    if (MEAN == 1u) {
        let inside = (at.rows.y - min(at.rows.x, at.rows.y)) * (at.columns.y - min(at.columns.x, at.columns.y));
        let padded = (min(at.top + p.k_h, p.end_h) - at.top) * (min(at.left + p.k_w, p.end_w) - at.left);
        result /= f32(max(select(inside, padded, p.counted == 1u), 1u));
    }
    out_store(at.pixel * p.channels + at.channel, n, result);
}

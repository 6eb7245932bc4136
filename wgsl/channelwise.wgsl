// out[b, y, x, c] = act(bias[c] + sum over taps of w[tap, c] * x[b, y * stride + dy - pad, x * stride + dx - pad, c]), and what lib/finish
// adds: a kernel for each channel; zeros outside. A thread makes four channels of PIXELS pixels of a row, so that it reads a weight once
// for all of them, and with SLIDE, for windows that move by one column, an element of the image once for all columns of the window.
// #import window, finish

// Of four channels, at a column seen from the padding's first of the line that begins with this pixel.
fn element_at(line: u32, column: u32, channel: u32, n: u32, p: Params) -> vec4<f32> {
    let inside = column >= p.pad_w && column < p.pad_w + p.in_w;
    let x = x_load((line + select(0u, column - p.pad_w, inside)) * p.channels + channel, n);
    return select(vec4<f32>(), x, inside);
}

fn channelwise(group: u32, thread: u32, p: Params) {
    let index = group * WG + thread;
    if (index >= p.count) { return; }
    let vec4s = (p.channels + 3u) / 4u;
    let strips = (p.out_w + PIXELS - 1u) / PIXELS;
    let channel = index % vec4s * 4u;
    let n = p.channels - channel;
    let row = index / vec4s / strips;
    let column = index / vec4s % strips * PIXELS;
    let top = row % p.out_h * p.stride_h;
    let left = column * p.stride_w;
    var sums: array<vec4<f32>, PIXELS>;
    for (var i = 0u; i < PIXELS; i++) { sums[i] = bias_load(channel, n); }
    for (var y = max(top, p.pad_h); y < min(top + p.k_h, p.pad_h + p.in_h); y++) {
        let line = (row / p.out_h * p.in_h + y - p.pad_h) * p.in_w;
        var seen: array<vec4<f32>, PIXELS>;
        if (SLIDE == 1u) {
            for (var i = 1u; i < PIXELS; i++) { seen[i] = element_at(line, left + i - 1u, channel, n, p); }
        }
        for (var tap = 0u; tap < p.k_w; tap++) {
            let w = w_load(((y - top) * p.k_w + tap) * p.channels + channel, n);
            if (SLIDE == 1u) {
                for (var i = 1u; i < PIXELS; i++) { seen[i - 1u] = seen[i]; }
                seen[PIXELS - 1u] = element_at(line, left + tap + PIXELS - 1u, channel, n, p);
            } else {
                for (var i = 0u; i < PIXELS; i++) { seen[i] = element_at(line, left + i * p.stride_w + tap, channel, n, p); }
            }
            for (var i = 0u; i < PIXELS; i++) { sums[i] = fma(w, seen[i], sums[i]); }
        }
    }
    for (var i = 0u; i < PIXELS; i++) {
        if (column + i >= p.out_w) { break; }
        let e = (row * p.out_w + column + i) * p.channels + channel;
        finish(e, channel, n, sums[i], p);
    }
}

// out[b, y, x, c] = act(bias[c] + sum over taps of w[tap, c] * x[b, y * stride + dy - pad, x * stride + dx - pad, c]): a kernel for each channel; zeros
// outside. Needs lib/activation.

struct Params {
    count: u32, in_h: u32, in_w: u32, out_h: u32, out_w: u32, channels: u32,
    k_h: u32, k_w: u32, stride_h: u32, stride_w: u32, pad_h: u32, pad_w: u32,
}

fn channelwise(group: u32, lane: u32, p: Params) {
    let index = group * WG + lane;
    if (index >= p.count) { return; }
    let fours = (p.channels + 3u) / 4u;
    let c = index % fours * 4u;
    let n = p.channels - c;
    let pixel = index / fours;
    let image = pixel / (p.out_w * p.out_h);
    let top = pixel / p.out_w % p.out_h * p.stride_h;
    let left = pixel % p.out_w * p.stride_w;
    var sum = bias_load(c, n);
    for (var y = max(top, p.pad_h); y < min(top + p.k_h, p.pad_h + p.in_h); y++) {
        for (var x = max(left, p.pad_w); x < min(left + p.k_w, p.pad_w + p.in_w); x++) {
            let tap = (y - top) * p.k_w + x - left;
            sum += w_load(tap * p.channels + c, n) * x_load(((image * p.in_h + y - p.pad_h) * p.in_w + x - p.pad_w) * p.channels + c, n);
        }
    }
    out_store(pixel * p.channels + c, n, activate(sum));
}

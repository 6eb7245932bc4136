// out[b, y, x, c] = act(bias[c] + sum over taps of w[tap, c] * x[b, y * stride + dy - pad, x * stride + dx - pad, c]), and what lib/finish adds: a
// kernel for each channel; zeros outside. Needs lib/activation, lib/window and lib/finish.

fn channelwise(group: u32, lane: u32, p: Params) {
    let index = group * WG + lane;
    if (index >= p.count) { return; }
    let at = place_of(index, p);
    let n = p.channels - at.channel;
    var sum = bias_load(at.channel, n);
    for (var y = at.rows.x; y < at.rows.y; y++) {
        for (var x = at.columns.x; x < at.columns.y; x++) {
            let tap = (y - at.top) * p.k_w + x - at.left;
            sum += w_load(tap * p.channels + at.channel, n) * x_load(element_of(at, y, x, p), n);
        }
    }
    finish(at.pixel * p.channels + at.channel, at.channel, n, sum, p);
}

// out[b, y, x, c] = sum over taps of kernel[tap] * x[b, y + dy - pad, x + dx - pad, c]: one small kernel for every channel; zeros
// outside. The kernel is [k, k], and out is as large as x plus both paddings minus k - 1.

struct Params { count: u32, in_h: u32, in_w: u32, out_h: u32, out_w: u32, channels: u32, k: u32, pad: u32 }

fn depthwise(group: u32, thread: u32, p: Params) {
    let index = group * WG + thread;
    if (index >= p.count) { return; }
    let vec4s = (p.channels + 3u) / 4u;
    let c = index % vec4s * 4u;
    let n = p.channels - c;
    let pixel = index / vec4s;
    let image = pixel / (p.out_w * p.out_h);
    let y = pixel / p.out_w % p.out_h;
    let x = pixel % p.out_w;
    var sum = vec4<f32>();
    for (var dy = 0u; dy < p.k; dy++) {
        for (var dx = 0u; dx < p.k; dx++) {
            let iy = y + dy;
            let ix = x + dx;
            if (iy >= p.pad && iy - p.pad < p.in_h && ix >= p.pad && ix - p.pad < p.in_w) {
                let e = ((image * p.in_h + iy - p.pad) * p.in_w + ix - p.pad) * p.channels + c;
                sum += kernel_get(dy * p.k + dx) * x_load(e, n);
            }
        }
    }
    out_store(pixel * p.channels + c, n, sum);
}

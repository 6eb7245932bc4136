// out[b, y, x, c]: x [b, h, w, c] at other sizes. `rows` [out_h, 3] and `columns` [out_w, 3] have for each line of the result the
// two lines of the image that it lies between, and how far it is from the first to the second.

struct Params { count: u32, in_h: u32, in_w: u32, out_h: u32, out_w: u32, channels: u32 }

fn resample(group: u32, thread: u32, p: Params) {
    let index = group * WG + thread;
    if (index >= p.count) { return; }
    let vec4s = (p.channels + 3u) / 4u;
    let c = index % vec4s * 4u;
    let n = p.channels - c;
    let pixel = index / vec4s;
    let image = pixel / (p.out_w * p.out_h) * p.in_h;
    let row = pixel / p.out_w % p.out_h * 3u;
    let column = pixel % p.out_w * 3u;
    let top = (image + u32(rows_get(row))) * p.in_w;
    let bottom = (image + u32(rows_get(row + 1u))) * p.in_w;
    let left = u32(columns_get(column));
    let right = u32(columns_get(column + 1u));
    let across = columns_get(column + 2u);
    let upper = mix(x_load((top + left) * p.channels + c, n), x_load((top + right) * p.channels + c, n), vec4<f32>(across));
    let lower = mix(x_load((bottom + left) * p.channels + c, n), x_load((bottom + right) * p.channels + c, n), vec4<f32>(across));
    out_store(pixel * p.channels + c, n, mix(upper, lower, vec4<f32>(rows_get(row + 2u))));
}

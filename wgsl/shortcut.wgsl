// One frame's part in a shortcut past a change of resolution: out[y, x, c] = residual[y, x, c] + part. A pixel of low resolution
// answers to a block of time x space x space pixels of high resolution, of which this frame has those at `t`. The entries of a
// block are channels by places, the places innermost.
// UP 0: the low pixel's channels are means of `share` entries each. UP 1: the entries are its channels, `share` times each.

struct Params { count: u32, in_w: u32, in_c: u32, out_w: u32, out_c: u32, time: u32, space: u32, share: u32, t: u32 }

fn mean_of_block(y: u32, x: u32, c: u32, p: Params) -> f32 {
    let area = p.space * p.space;
    let places = p.time * area;
    var sum = 0.0;
    for (var i = 0u; i < p.share; i++) {
        let entry = c * p.share + i;
        let place = entry % places;
        if (place / area == p.t) {
            let from_y = y * p.space + place % area / p.space;
            let from_x = x * p.space + place % p.space;
            sum += x_get((from_y * p.in_w + from_x) * p.in_c + entry / places);
        }
    }
    return sum / f32(p.share);
}

fn entry_of_block(y: u32, x: u32, c: u32, p: Params) -> f32 {
    let place = (p.t * p.space + y % p.space) * p.space + x % p.space;
    let entry = c * p.time * p.space * p.space + place;
    return x_get((y / p.space * p.in_w + x / p.space) * p.in_c + entry / p.share);
}

fn shortcut(group: u32, thread: u32, p: Params) {
    let e = group * WG + thread;
    if (e >= p.count) { return; }
    let c = e % p.out_c;
    let x = e / p.out_c % p.out_w;
    let y = e / p.out_c / p.out_w;
    var part = 0.0;
    if (UP == 1u) { part = entry_of_block(y, x, c, p); } else { part = mean_of_block(y, x, c, p); }
    out_set(e, residual_get(e) + part);
}

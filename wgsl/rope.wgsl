// Each pair (2i, 2i + 1) of the first `rotated` rows becomes (a cos - b sin, a sin + b cos), by the angle of i and of the row's place,
// which is its number modulo `places`; other rows stay as they are. `cos` and `sin` are [places, cols / 2]; cols is a multiple of four.

struct Params { count: u32, cols: u32, places: u32, rotated: u32 }

fn rope(group: u32, thread: u32, p: Params) {
    let e = (group * WG + thread) * 4u;
    if (e >= p.count) { return; }
    let row = e / p.cols;
    let x4 = x_load(e, 4u);
    if (row >= p.rotated) {
        out_store(e, 4u, x4);
        return;
    }
    let angle = (row % p.places * p.cols + e % p.cols) / 2u;
    let c = vec2<f32>(cos_get(angle), cos_get(angle + 1u));
    let s = vec2<f32>(sin_get(angle), sin_get(angle + 1u));
    let rotated = vec4<f32>(
        x4.x * c.x - x4.y * s.x,
        x4.x * s.x + x4.y * c.x,
        x4.z * c.y - x4.w * s.y,
        x4.z * s.y + x4.w * c.y,
    );
    out_store(e, 4u, rotated);
}

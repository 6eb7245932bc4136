// out = act(c0 * x0 + c1 * x1 + ... + constant), element by element; absent inputs count as zero.
// #import activation

struct Params { count: u32, constant: f32, c0: f32, c1: f32, c2: f32, c3: f32, c4: f32, c5: f32, c6: f32 }

fn lincomb(group: u32, thread: u32, p: Params) {
    let e = (group * WG + thread) * 4u;
    if (e >= p.count) { return; }
    var sum = p.c0 * x0_load(e, 4u) + p.c1 * x1_load(e, 4u) + p.c2 * x2_load(e, 4u) + p.c3 * x3_load(e, 4u);
    sum += p.c4 * x4_load(e, 4u) + p.c5 * x5_load(e, 4u) + p.c6 * x6_load(e, 4u);
    out_store(e, 4u, activate(sum + p.constant));
}

// out = act(a) * b, element by element.
// #import activation

struct Params { count: u32 }

fn elementwise(group: u32, thread: u32, p: Params) {
    let e = (group * WG + thread) * 4u;
    if (e >= p.count) { return; }
    out_store(e, 4u, activate(a_load(e, 4u)) * b_load(e, 4u));
}

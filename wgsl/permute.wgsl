// out[i0, .., i5] = x[the same indices through the strides of x]: any reordering of up to six axes, n? the sizes of out's axes
// and s? the strides in x that belong to them.

struct Params {
    count: u32,
    n1: u32, n2: u32, n3: u32, n4: u32, n5: u32,
    s0: u32, s1: u32, s2: u32, s3: u32, s4: u32, s5: u32,
}

fn source(out_index: u32, p: Params) -> u32 {
    var i = out_index;
    var e = i % p.n5 * p.s5;
    i /= p.n5;
    e += i % p.n4 * p.s4;
    i /= p.n4;
    e += i % p.n3 * p.s3;
    i /= p.n3;
    e += i % p.n2 * p.s2;
    i /= p.n2;
    return e + i % p.n1 * p.s1 + i / p.n1 * p.s0;
}

fn permute(group: u32, thread: u32, p: Params) {
    let e = (group * WG + thread) * 4u;
    if (e >= p.count) { return; }
    let last = p.count - 1u;
    out_store(e, 4u, vec4<f32>(
        x_get(source(e, p)),
        x_get(source(min(e + 1u, last), p)),
        x_get(source(min(e + 2u, last), p)),
        x_get(source(min(e + 3u, last), p)),
    ));
}

// out = f(a, b), element by element, FUNCTION says which f. With WALK 0 all are of one shape; else a and b are stretched to the
// walk's extents by strides of 0, and WALK elements, 1 or 4, go together; with SAME 1 the four of a are one and the same, with SAME
// 2 those of b.
// #import walk

struct Params {
    count: u32,
    e0: u32, e1: u32, e2: u32, e3: u32, e4: u32, e5: u32,
    a0: i32, a1: i32, a2: i32, a3: i32, a4: i32, a5: i32,
    b0: i32, b1: i32, b2: i32, b3: i32, b4: i32, b5: i32,
}

fn function(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    switch FUNCTION {
        case 0u: { return a + b; }
        case 1u: { return a - b; }
        case 2u: { return a * b; }
        case 3u: { return a / b; }
        case 4u: { return min(a, b); }
        case 5u: { return max(a, b); }
        default: { return select(a, a * b, a < vec4<f32>()); }
    }
}

fn binary(group: u32, thread: u32, p: Params) {
    if (WALK == 0u) {
        let e = (group * WG + thread) * 4u;
        if (e < p.count) { out_store(e, 4u, function(a_load(e, 4u), b_load(e, 4u))); }
        return;
    }
    let number = group * WG + thread;
    let e = number * WALK;
    if (e >= p.count) { return; }
    let i = indices(number, Six(p.e0, p.e1, p.e2, p.e3, p.e4, p.e5));
    let a = i[0] * p.a0 + i[1] * p.a1 + i[2] * p.a2 + i[3] * p.a3 + i[4] * p.a4 + i[5] * p.a5;
    let b = i[0] * p.b0 + i[1] * p.b1 + i[2] * p.b2 + i[3] * p.b3 + i[4] * p.b4 + i[5] * p.b5;
    var left = vec4<f32>(a_get(u32(a)));
    if (WALK == 4u && SAME != 1u) { left = a_load(u32(a), 4u); }
    var right = vec4<f32>(b_get(u32(b)));
    if (WALK == 4u && SAME != 2u) { right = b_load(u32(b), 4u); }
    out_store(e, WALK, function(left, right));
}

// out[place + sum of index * o] = x[source + sum of index * x], for each WIDTH elements of a walk, 1 or 4.
// #import walk

struct Params {
    count: u32, source: u32, place: u32,
    e0: u32, e1: u32, e2: u32, e3: u32, e4: u32, e5: u32,
    x0: i32, x1: i32, x2: i32, x3: i32, x4: i32, x5: i32,
    o0: i32, o1: i32, o2: i32, o3: i32, o4: i32, o5: i32,
}

fn strided(group: u32, thread: u32, p: Params) {
    let e = group * WG + thread;
    if (e >= p.count) { return; }
    let i = indices(e, Six(p.e0, p.e1, p.e2, p.e3, p.e4, p.e5));
    let read = i[0] * p.x0 + i[1] * p.x1 + i[2] * p.x2 + i[3] * p.x3 + i[4] * p.x4 + i[5] * p.x5;
    let written = i[0] * p.o0 + i[1] * p.o1 + i[2] * p.o2 + i[3] * p.o3 + i[4] * p.o4 + i[5] * p.o5;
    out_store(u32(i32(p.place) + written), WIDTH, x_load(u32(i32(p.source) + read), WIDTH));
}

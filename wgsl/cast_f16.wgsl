// bf16 to f16, to the nearest; past the largest f16 that one. A thread takes four.

struct Params { vec4s: u32 }

fn cast_f16(group: u32, thread: u32, p: Params) {
    let four = group * WG + thread;
    if (four < p.vec4s) { out_store(four * 4u, 4u, x_load(four * 4u, 4u)); }
}

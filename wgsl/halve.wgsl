// bf16 to f16, to the nearest; past the largest f16 that one. A lane takes four.

struct Params { fours: u32 }

fn halve(group: u32, lane: u32, p: Params) {
    let four = group * WG + lane;
    if (four < p.fours) { out_store(four * 4u, 4u, x_load(four * 4u, 4u)); }
}

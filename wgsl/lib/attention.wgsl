// What the kernels of attention share.

const MASKED: f32 = -3.0e38;

// `q_tiles` are the tiles of queries of one head.
struct Params { q_len: u32, k_len: u32, heads: u32, q_tiles: u32, dim: u32, scale: f32, shift_from: u32, shift_to: u32, shift: f32 }

// What is added to the scores of four keys.
fn shift_of(keys: vec4<u32>, p: Params) -> vec4<f32> {
    return select(vec4<f32>(), vec4<f32>(p.shift), (keys >= vec4<u32>(p.shift_from)) & (keys < vec4<u32>(p.shift_to)));
}

// e^x for x that is hardly above 0; some drivers answer NaN where it would vanish.
fn exp_p(x: vec4<f32>) -> vec4<f32> { return exp(max(x, vec4<f32>(-100.0))); }

// Where a workgroup works: the first of its queries, its head, the length of a row, and where the batch's queries and keys of the
// head begin.
struct TileOrigin { first: u32, head: u32, width: u32, queries: u32, keys: u32 }

fn tile_origin(group: u32, tile: u32, p: Params) -> TileOrigin {
    let head = group / p.q_tiles % p.heads;
    let batch = group / (p.q_tiles * p.heads);
    let width = p.heads * p.dim;
    let at = vec2<u32>(p.q_len, p.k_len) * batch * width + head * p.dim;
    return TileOrigin(group % p.q_tiles * tile, head, width, at.x, at.y);
}

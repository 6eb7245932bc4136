// What the kernels of attention share.

const LOWEST: f32 = -3.0e38;

// `q_tiles` are the tiles of queries of one head.
struct Params { q_len: u32, k_len: u32, heads: u32, q_tiles: u32, dim: u32, scale: f32 }

// e^x for x that is hardly above 0; some drivers answer NaN where it would vanish.
fn weight_of(x: vec4<f32>) -> vec4<f32> { return exp(max(x, vec4<f32>(-100.0))); }

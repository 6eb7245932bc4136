// The weights of matmul_sg in the order in which it reads them: for each 64 columns of the product and each k, with `inner` rounded up to
// whole 32s, a thread's 4 + 4 numbers, those of columns 4 thread.. and 32 + 4 thread.. . FORM says how they are stored, and w is: 0 f32,
// 1 f16, 2 bf16. A thread here takes four k of the eight columns of a thread there.

// Columns from..shard of the product, which are rows of w.
struct Params { inner: u32, depth: u32, from_row: u32, shard: u32, vec4s: u32 }

fn pair(low: f32, high: f32) -> u32 {
    if (FORM == 2u) { return bitcast<u32>(low) >> 16u | (bitcast<u32>(high) & 0xffff0000u); }
    return pack2x16float(vec2<f32>(low, high));
}

fn matmul_pack(group: u32, thread: u32, p: Params) {
    let at = group * WG + thread;
    if (at >= p.vec4s) { return; }
    let target_lane = at % 8u;
    let k = at / 8u * 4u % p.depth;
    let row = p.from_row + at / 8u * 4u / p.depth * 64u + target_lane * 4u;
    var rows: array<vec4<f32>, 8>;
    for (var j = 0u; j < 8u; j++) {
        let from_row = row + (j & 3u) + (j >> 2u) * 32u;
        rows[j] = vec4<f32>();
        if (from_row < p.shard && k < p.inner) { rows[j] = w_load(from_row * p.inner + k, p.inner - k); }
    }
    let a = transpose(mat4x4<f32>(rows[0], rows[1], rows[2], rows[3]));
    let b = transpose(mat4x4<f32>(rows[4], rows[5], rows[6], rows[7]));
    let first = (at / 8u * 4u) * 8u + target_lane;
    for (var i = 0u; i < 4u; i++) {
        if (FORM == 0u) {
            packed_data[(first + i * 8u) * 2u - target_lane] = bitcast<vec4<u32>>(a[i]);
            packed_data[(first + i * 8u) * 2u - target_lane + 8u] = bitcast<vec4<u32>>(b[i]);
        } else {
            packed_data[first + i * 8u] = vec4<u32>(pair(a[i].x, a[i].y), pair(a[i].z, a[i].w), pair(b[i].x, b[i].y), pair(b[i].z, b[i].w));
        }
    }
}

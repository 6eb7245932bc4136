// Convolution over [T, H, W, C], channels last, as an implicit matrix product: out[pixel, n] = residual + act(bias[n] + sum over
// taps and channels of x[pixel moved by the tap, c] * w[n, tap, c]). Outside of x there are zeros. With up = 1, x is seen at
// twice its height and width (nearest neighbour). A lane makes TM pixels of TN channels; a workgroup is WN lanes of channels wide.
// Needs lib/activation.

struct Params {
    in_t: u32, in_h: u32, in_w: u32, in_c: u32,
    out_t: u32, out_h: u32, out_w: u32, out_c: u32,
    k_t: u32, k_h: u32, k_w: u32,
    stride_t: u32, stride: u32,
    pad_t: u32, pad_y: u32, pad_x: u32,
    up: u32, column_groups: u32,
}

fn conv(group: u32, lane: u32, p: Params) {
    let pixels = p.out_t * p.out_h * p.out_w;
    let pixel = (group / p.column_groups * (WG / WN) + lane / WN) * TM;
    let col = (group % p.column_groups * WN + lane % WN) * TN;
    if (pixel >= pixels || col >= p.out_c) { return; }
    var sums: array<vec4<f32>, TM * TN / 4u>;
    for (var i = 0u; i < TM * TN / 4u; i++) { sums[i] = vec4<f32>(); }
    // Where each pixel's first tap lies; may be negative.
    var at: array<vec3<i32>, TM>;
    for (var i = 0u; i < TM; i++) {
        let index = min(pixel + i, pixels - 1u);
        let place = vec3<u32>(index / (p.out_w * p.out_h) * p.stride_t, index / p.out_w % p.out_h * p.stride, index % p.out_w * p.stride);
        at[i] = vec3<i32>(place) - vec3<i32>(vec3<u32>(p.pad_t, p.pad_y, p.pad_x));
    }
    let size = vec3<i32>(vec3<u32>(p.in_t, p.in_h << p.up, p.in_w << p.up));
    let taps = p.k_t * p.k_h * p.k_w;
    for (var tap = 0u; tap < taps; tap++) {
        let move_by = vec3<i32>(vec3<u32>(tap / (p.k_w * p.k_h), tap / p.k_w % p.k_h, tap % p.k_w));
        var starts: array<u32, TM>;
        var inside: array<bool, TM>;
        var any_inside = false;
        for (var i = 0u; i < TM; i++) {
            let place = at[i] + move_by;
            inside[i] = all(place >= vec3<i32>()) && all(place < size);
            any_inside |= inside[i];
            let from_ = vec3<u32>(select(vec3<i32>(), place, inside[i]));
            starts[i] = ((from_.x * p.in_h + (from_.y >> p.up)) * p.in_w + (from_.z >> p.up)) * p.in_c;
        }
        // A causal convolution has whole taps in the padding.
        for (var c = 0u; c < select(0u, p.in_c, any_inside); c += 4u) {
            let n = p.in_c - c;
            var w4: array<vec4<f32>, TN>;
            for (var j = 0u; j < TN; j++) { w4[j] = w_load((min(col + j, p.out_c - 1u) * taps + tap) * p.in_c + c, n); }
            for (var i = 0u; i < TM; i++) {
                let x4 = select(vec4<f32>(), x_load(starts[i] + c, n), inside[i]);
                for (var j = 0u; j < TN; j += 4u) {
                    sums[(i * TN + j) / 4u] += vec4<f32>(dot(x4, w4[j]), dot(x4, w4[j + 1u]), dot(x4, w4[j + 2u]), dot(x4, w4[j + 3u]));
                }
            }
        }
    }
    for (var j = 0u; j < TN; j += 4u) {
        if (col + j >= p.out_c) { break; }
        let n = p.out_c - (col + j);
        let bias4 = bias_load(col + j, n);
        for (var i = 0u; i < TM; i++) {
            if (pixel + i >= pixels) { break; }
            let e = (pixel + i) * p.out_c + col + j;
            out_store(e, n, residual_load(e, n) + activate(sums[(i * TN + j) / 4u] + bias4));
        }
    }
}

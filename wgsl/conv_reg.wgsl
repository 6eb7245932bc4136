// Convolution over [T, H, W, C], channels last, as an implicit matrix product: out[pixel, n] = residual + act(bias[n] + sum over
// taps and channels of x[pixel moved by the tap, c] * w[n, tap, c]). Outside of x there are zeros, but for the frames of the past
// that stand before it in tensors of their own, the newest first; then T of x is 1. With up = 1, x is seen at twice its height and
// width (nearest neighbour). A thread makes TM pixels of TN channels; a workgroup is WN threads of channels wide.
// #import finish, taps

// Adds the products of four channels, from `w_at` on in the tap of the first of TN rows.
fn gather(sums: ptr<function, array<vec4<f32>, TM * TN / 4u>>, x4: array<vec4<f32>, TM>, w_rows: array<u32, TN>, w_at: u32, n: u32) {
    var w4: array<vec4<f32>, TN>;
    for (var j = 0u; j < TN; j++) { w4[j] = w_load(w_rows[j] + w_at, n); }
    for (var i = 0u; i < TM; i++) {
        for (var j = 0u; j < TN; j += 4u) {
            let products = vec4<f32>(dot(x4[i], w4[j]), dot(x4[i], w4[j + 1u]), dot(x4[i], w4[j + 2u]), dot(x4[i], w4[j + 3u]));
            (*sums)[(i * TN + j) / 4u] += products;
        }
    }
}

fn conv_reg(group: u32, thread: u32, p: Params) {
    let pixels = p.out_t * p.out_h * p.out_w;
    let pixel = (group / p.column_groups * (WG / WN) + thread / WN) * TM;
    let col = (group % p.column_groups * WN + thread % WN) * TN;
    if (pixel >= pixels || col >= p.out_c) { return; }
    var sums: array<vec4<f32>, TM * TN / 4u>;
    for (var i = 0u; i < TM * TN / 4u; i++) { sums[i] = vec4<f32>(); }
    var at: array<vec3<i32>, TM>;
    var place = pixel_at(pixel, p);
    for (var i = 0u; i < TM; i++) {
        at[i] = first_tap_at(place, p);
        place = next_pixel(place, p);
    }
    let taps = p.k_t * p.k_h * p.k_w;
    var w_rows: array<u32, TN>;
    for (var j = 0u; j < TN; j++) { w_rows[j] = min(col + j, p.out_c - 1u) * taps * p.in_c; }
    for (var tap = 0u; tap < taps; tap++) {
        var starts: array<u32, TM>;
        var inside: array<bool, TM>;
        var any_inside = false;
        for (var i = 0u; i < TM; i++) {
            let place = at[i] + offset_of(tap, p);
            inside[i] = is_inside(place, p);
            any_inside |= inside[i];
            starts[i] = select(0u, start_of(place, p), inside[i]);
        }
        // One of three loops runs, the first alone where there is no past. Branches within one would be no help to software drivers, which
        // take every one.
        let frame = select(at[0].x + offset_of(tap, p).x, 0, PAST == 0u);
        let channels = select(0u, p.in_c, any_inside);
        var x4: array<vec4<f32>, TM>;
        for (var c = 0u; c < select(channels, 0u, frame < 0); c += 4u) {
            for (var i = 0u; i < TM; i++) { x4[i] = select(vec4<f32>(), x_load(starts[i] + c, p.in_c - c), inside[i]); }
            gather(&sums, x4, w_rows, tap * p.in_c + c, p.in_c - c);
        }
        if (PAST == 0u) { continue; }
        for (var c = 0u; c < select(0u, channels, frame == -1); c += 4u) {
            for (var i = 0u; i < TM; i++) { x4[i] = select(vec4<f32>(), past1_load(starts[i] + c, p.in_c - c), inside[i]); }
            gather(&sums, x4, w_rows, tap * p.in_c + c, p.in_c - c);
        }
        for (var c = 0u; c < select(0u, channels, frame == -2); c += 4u) {
            for (var i = 0u; i < TM; i++) { x4[i] = select(vec4<f32>(), past2_load(starts[i] + c, p.in_c - c), inside[i]); }
            gather(&sums, x4, w_rows, tap * p.in_c + c, p.in_c - c);
        }
    }
    for (var j = 0u; j < TN; j += 4u) {
        if (col + j >= p.out_c) { break; }
        let n = p.out_c - (col + j);
        let bias4 = bias_load(col + j, n);
        for (var i = 0u; i < TM; i++) {
            if (pixel + i >= pixels) { break; }
            let e = (pixel + i) * p.out_c + col + j;
            finish(e, col + j, n, sums[(i * TN + j) / 4u] + bias4, p);
        }
    }
}

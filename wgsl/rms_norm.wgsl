// out = act(x / sqrt(mean(x * x) + eps) * weight), row by row, summed in f32. LANES threads have a row.
// #import inverse_rms, activation

struct Params { rows: u32, cols: u32, eps: f32 }

fn rms_norm(group: u32, thread: u32, p: Params) {
    let row = group * (WG / LANES) + thread / LANES;
    let start = row * p.cols;
    let cols = select(0u, p.cols, row < p.rows);
    let factor = inverse_rms(thread, start, cols, p.eps);
    for (var c = thread % LANES * 4u; c < cols; c += LANES * 4u) {
        let n = cols - c;
        out_store(start + c, n, activate(x_load(start + c, n) * factor * weight_load(c, n)));
    }
}

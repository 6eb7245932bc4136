// out = act(x / sqrt(mean(x * x) + eps) * weight), row by row, summed in f32.
// #import inverse_rms, activation

struct Params { rows: u32, cols: u32, eps: f32 }

fn rms_norm(group: u32, thread: u32, p: Params) {
    let row = group * p.cols;
    let factor = inverse_rms(thread, row, p.cols, p.eps);
    for (var c = thread * 4u; c < p.cols; c += WG * 4u) {
        let n = p.cols - c;
        out_store(row + c, n, activate(x_load(row + c, n) * factor * weight_load(c, n)));
    }
}

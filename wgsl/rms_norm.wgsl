// out = act(x / sqrt(mean(x * x) + eps) * weight), row by row, summed in f32.
// #import row_factor, activation

struct Params { rows: u32, cols: u32, eps: f32 }

fn rms_norm(group: u32, lane: u32, p: Params) {
    let row = group * p.cols;
    let factor = row_factor(lane, row, p.cols, p.eps);
    for (var c = lane * 4u; c < p.cols; c += WG * 4u) {
        let n = p.cols - c;
        out_store(row + c, n, activate(x_load(row + c, n) * factor * weight_load(c, n)));
    }
}

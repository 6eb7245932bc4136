// See channelwise. For software drivers, to which a load is dear and arithmetic cheap: a lane makes four channels of PIXELS columns, and of
// `rows` rows one after another, so that it reads an element of the image once for all of them. For square kernels of K and steps of
// STRIDE.
// #import window, finish

// Columns of the image under the windows of a row, and rows of the result that a row of the image is part of.
const COLUMNS: u32 = (PIXELS - 1u) * STRIDE + K;
const OPEN: u32 = (K + STRIDE - 1u) / STRIDE;

// Where the columns lie in a row of the image; those outside are read as the first, and dropped.
struct Line { at: array<u32, COLUMNS>, inside: array<bool, COLUMNS> }

// Adds a row of the image to the sums of the rows that it is part of. It is the row `part` of the STRIDE that are between the first one's
// windows.
fn add_row(
    sums: ptr<function, array<array<vec4<f32>, PIXELS>, OPEN>>,
    w: ptr<function, array<vec4<f32>, K * K>>,
    line: ptr<function, Line>,
    y: u32, part: u32, image: u32, n: u32, p: Params,
) {
    let is_row = y < p.in_h;
    let begin = (image * p.in_h + select(0u, y, is_row)) * p.in_w * p.channels;
    var seen: array<vec4<f32>, COLUMNS>;
    for (var x = 0u; x < COLUMNS; x++) {
        seen[x] = select(vec4<f32>(), x_load(begin + (*line).at[x], n), is_row && (*line).inside[x]);
    }
    for (var o = 0u; o < OPEN; o++) {
        let k = STRIDE * (OPEN - 1u - o) + part;
        if (k < K) {
            for (var j = 0u; j < K; j++) {
                for (var i = 0u; i < PIXELS; i++) { (*sums)[o][i] = fma((*w)[k * K + j], seen[i * STRIDE + j], (*sums)[o][i]); }
            }
        }
    }
}

fn channelwise_sg(group: u32, thread: u32, p: Params) {
    let index = group * WG + thread;
    if (index >= p.count) { return; }
    let vec4s = (p.channels + 3u) / 4u;
    let strips = (p.out_w + PIXELS - 1u) / PIXELS;
    let bands = (p.out_h + p.rows - 1u) / p.rows;
    let channel = index % vec4s * 4u;
    let n = p.channels - channel;
    let strip = index / vec4s;
    let column = strip % strips * PIXELS;
    let image = strip / strips / bands;
    let first = strip / strips % bands * p.rows;
    let rows = min(p.rows, p.out_h - first);
    let bias = bias_load(channel, n);
    var w: array<vec4<f32>, K * K>;
    for (var tap = 0u; tap < K * K; tap++) { w[tap] = w_load(tap * p.channels + channel, n); }
    var line: Line;
    for (var x = 0u; x < COLUMNS; x++) {
        let seen_at = column * STRIDE + x - p.pad_w;
        line.inside[x] = seen_at < p.in_w;
        line.at[x] = select(0u, seen_at, line.inside[x]) * p.channels + channel;
    }
    // The sums of rows that are not complete yet, the oldest first.
    var sums: array<array<vec4<f32>, PIXELS>, OPEN>;
    for (var o = 0u; o < OPEN; o++) {
        for (var i = 0u; i < PIXELS; i++) { sums[o][i] = bias; }
    }
    for (var step = 0u; step < rows + OPEN - 1u; step++) {
        let y = (first + step) * STRIDE - p.pad_h;
        add_row(&sums, &w, &line, y, 0u, image, n, p);
        if (STRIDE == 2u) { add_row(&sums, &w, &line, y + 1u, 1u, image, n, p); }
        if (step + 1u >= OPEN) {
            let row = (image * p.out_h + first + step + 1u - OPEN) * p.out_w;
            for (var i = 0u; i < PIXELS; i++) {
                if (column + i < p.out_w) { finish((row + column + i) * p.channels + channel, channel, n, sums[0][i], p); }
            }
        }
        for (var o = 1u; o < OPEN; o++) { sums[o - 1u] = sums[o]; }
        for (var i = 0u; i < PIXELS; i++) { sums[OPEN - 1u][i] = bias; }
    }
}

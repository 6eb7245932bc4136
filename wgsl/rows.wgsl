// Row by row, as KIND says: 0 softmax, out [rows, cols]; 1 sum, 2 mean, 3 largest, 4 smallest, 5 root of the sum of squares, out
// [rows].
// #import reduce, reduce_max

// All threads have one row.
const LANES: u32 = WG;

struct Params { cols: u32 }

// What counts for nothing in the place of threads past the end of a row.
fn row_four(row: u32, c: u32, cols: u32, nothing: f32) -> vec4<f32> {
    let inside = vec4<u32>(c, c + 1u, c + 2u, c + 3u) < vec4<u32>(cols);
    return select(vec4<f32>(nothing), x_load(row + c, cols - c), inside);
}

fn largest_of(thread: u32, row: u32, cols: u32, factor: f32) -> f32 {
    var most = -3.4028235e38;
    for (var c = thread * 4u; c < cols; c += WG * 4u) {
        let four = factor * row_four(row, c, cols, -3.4028235e38 * factor);
        most = max(most, max(max(four.x, four.y), max(four.z, four.w)));
    }
    return workgroup_max(thread, most);
}

fn sum_of(thread: u32, row: u32, cols: u32) -> f32 {
    var sum = 0.0;
    for (var c = thread * 4u; c < cols; c += WG * 4u) {
        let four = row_four(row, c, cols, 0.0);
        sum += dot(four, select(vec4<f32>(1.0), four, KIND == 5u));
    }
    return row_sum(thread, sum);
}

fn softmax(thread: u32, row: u32, cols: u32) {
    let most = largest_of(thread, row, cols, 1.0);
    var sum = 0.0;
    for (var c = thread * 4u; c < cols; c += WG * 4u) {
        sum += dot(exp(max(row_four(row, c, cols, -3.4028235e38) - most, vec4<f32>(-80.0))), vec4<f32>(1.0));
    }
    // Lanes past the end added e^-80 each, which is nothing beside the 1 of the largest.
    let whole = row_sum(thread, sum);
    for (var c = thread * 4u; c < cols; c += WG * 4u) {
        let n = cols - c;
        out_store(row + c, n, exp(max(x_load(row + c, n) - most, vec4<f32>(-80.0))) / whole);
    }
}

fn rows(group: u32, thread: u32, p: Params) {
    let row = group * p.cols;
    if (KIND == 0u) {
        softmax(thread, row, p.cols);
        return;
    }
    var result = 0.0;
    switch KIND {
        case 3u: { result = largest_of(thread, row, p.cols, 1.0); }
        case 4u: { result = -largest_of(thread, row, p.cols, -1.0); }
        default: { result = sum_of(thread, row, p.cols); }
    }
    if (KIND == 2u) { result /= f32(p.cols); }
    if (KIND == 5u) { result = sqrt(result); }
    if (thread == 0u) { out_store(group, 1u, vec4<f32>(result)); }
}

// What follows a product before it is stored: residual + gate * act(sum + bias), four columns at a time. Params have rows, cols, shard
// and first: the product's columns are those of `out` from `first` on.
// #import activation

struct Column { at: u32, count: u32, bias: vec4<f32>, gate: vec4<f32> }

// Columns col.. of the product. There may be none.
fn column(col: u32, p: Params) -> Column {
    if (col >= p.shard) { return Column(0u, 0u, vec4<f32>(), vec4<f32>()); }
    let at = p.first + col;
    let count = p.shard - col;
    var gate4 = vec4<f32>(1.0);
    if (GATED == 1u) { gate4 = gate_load(at, count); }
    return Column(at, count, bias_load(at, count), gate4);
}

fn finish(row: u32, c: Column, sum: vec4<f32>, p: Params) {
    if (row >= p.rows || c.count == 0u) { return; }
    let e = row * p.cols + c.at;
    out_store(e, c.count, residual_load(e, c.count) + c.gate * activate(sum + c.bias));
}

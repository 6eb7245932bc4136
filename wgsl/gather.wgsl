// out[r, c] = table[rows[r], c]: embedding lookup. `table` is a run of rows of the whole, from `first` on; rows outside it are
// left as they are.

struct Params { count: u32, cols: u32, first: u32, shard: u32 }

fn gather(group: u32, thread: u32, p: Params) {
    let four = group * WG + thread;
    let vec4s = (p.cols + 3u) / 4u;
    let r = four / vec4s;
    if (r >= p.count) { return; }
    let row = rows_get(r);
    if (row < p.first || row - p.first >= p.shard) { return; }
    let c = four % vec4s * 4u;
    out_store(r * p.cols + c, p.cols - c, table_load((row - p.first) * p.cols + c, p.cols - c));
}

// See matmul_reg. A workgroup makes BM rows of BN columns, TM by TN a thread; tiles of BK numbers of x and w go through workgroup memory,
// transposed so that a thread reads vec4s of rows and vec4s of columns. A thread's vec4s lie BM / (TM / 4) rows and BN / (TN / 4) columns
// apart, so that threads beside each other read beside each other.
// #import epilogue

struct Params { rows: u32, cols: u32, inner: u32, shard: u32, first: u32, column_groups: u32 }

const BK: u32 = 16u;
const ACROSS: u32 = BN / TN;

var<workgroup> x_tile: array<vec4<f32>, BK * BM / 4u>;
var<workgroup> w_tile: array<vec4<f32>, BK * BN / 4u>;

// Four numbers of each of four rows of x, transposed: zeros past `inner`, any number past the last row.
fn x_block(row: u32, k: u32, p: Params) -> mat4x4<f32> {
    if (k >= p.inner) { return mat4x4<f32>(); }
    var rows: array<vec4<f32>, 4>;
    for (var i = 0u; i < 4u; i++) { rows[i] = x_load(min(row + i, p.rows - 1u) * p.inner + k, p.inner - k); }
    return transpose(mat4x4<f32>(rows[0], rows[1], rows[2], rows[3]));
}

fn w_block(row: u32, k: u32, p: Params) -> mat4x4<f32> {
    if (k >= p.inner) { return mat4x4<f32>(); }
    var rows: array<vec4<f32>, 4>;
    for (var i = 0u; i < 4u; i++) { rows[i] = w_load(min(row + i, p.shard - 1u) * p.inner + k, p.inner - k); }
    return transpose(mat4x4<f32>(rows[0], rows[1], rows[2], rows[3]));
}

fn matmul_tiled(group: u32, thread: u32, p: Params) {
    let row = group / p.column_groups * BM;
    let col = group % p.column_groups * BN;
    let y = thread / ACROSS;
    let x = thread % ACROSS;
    var sums: array<vec4<f32>, TM * TN / 4u>;
    for (var i = 0u; i < TM * TN / 4u; i++) { sums[i] = vec4<f32>(); }
    for (var k = 0u; k < p.inner; k += BK) {
        for (var b = thread; b < BK * BM / 16u; b += WG) {
            let block = x_block(row + b / (BK / 4u) * 4u, k + b % (BK / 4u) * 4u, p);
            let at = b % (BK / 4u) * BM + b / (BK / 4u);
            x_tile[at] = block[0];
            x_tile[at + BM / 4u] = block[1];
            x_tile[at + BM / 2u] = block[2];
            x_tile[at + BM / 4u * 3u] = block[3];
        }
        for (var b = thread; b < BK * BN / 16u; b += WG) {
            let block = w_block(col + b / (BK / 4u) * 4u, k + b % (BK / 4u) * 4u, p);
            let at = b % (BK / 4u) * BN + b / (BK / 4u);
            w_tile[at] = block[0];
            w_tile[at + BN / 4u] = block[1];
            w_tile[at + BN / 2u] = block[2];
            w_tile[at + BN / 4u * 3u] = block[3];
        }
        workgroupBarrier();
        for (var l = 0u; l < BK; l++) {
            var w4: array<vec4<f32>, TN / 4u>;
            for (var j = 0u; j < TN / 4u; j++) { w4[j] = w_tile[l * (BN / 4u) + j * ACROSS + x]; }
            for (var i = 0u; i < TM / 4u; i++) {
                let x4 = x_tile[l * (BM / 4u) + i * (BM / TM) + y];
                for (var j = 0u; j < TN / 4u; j++) {
                    let at = (i * 4u) * (TN / 4u) + j;
                    sums[at] = fma(x4.xxxx, w4[j], sums[at]);
                    sums[at + TN / 4u] = fma(x4.yyyy, w4[j], sums[at + TN / 4u]);
                    sums[at + TN / 2u] = fma(x4.zzzz, w4[j], sums[at + TN / 2u]);
                    sums[at + TN / 4u * 3u] = fma(x4.wwww, w4[j], sums[at + TN / 4u * 3u]);
                }
            }
        }
        workgroupBarrier();
    }
    for (var j = 0u; j < TN / 4u; j++) {
        let c = column(col + (j * ACROSS + x) * 4u, p);
        for (var i = 0u; i < TM; i++) { finish(row + (i / 4u * (BM / TM) + y) * 4u + i % 4u, c, sums[i * (TN / 4u) + j], p); }
    }
}

// See matmul_reg. A workgroup makes BM rows of BN columns, TM by TN a thread; tiles of BK numbers of x and w go through workgroup memory,
// transposed so that a thread reads vec4s of rows and vec4s of columns. A thread's vec4s lie BM / (TM / 4) rows and BN / (TN / 4) columns
// apart, so that threads beside each other read beside each other.
// #import epilogue

struct Params { rows: u32, cols: u32, inner: u32, shard: u32, first: u32, column_groups: u32 }

const BK: u32 = 16u;
const ACROSS: u32 = BN / TN;
const X_FOURS: u32 = BM / 4u;
const FOURS: u32 = X_FOURS + BN / 4u; // of rows: those of x, then those of w
const STEP: u32 = WG / (BK / 4u); // fours of rows from one block of a thread to its next
const_assert FOURS % STEP == 0u;

var<workgroup> tile: array<vec4<f32>, BK * FOURS>;

// Four numbers of each of four rows, which begin at `rows`, transposed: zeros past `inner`.
fn block(is_x: bool, rows: vec4<u32>, k: u32, p: Params) -> mat4x4<f32> {
    if (k >= p.inner) { return mat4x4<f32>(); }
    let at = rows + k;
    let n = p.inner - k;
    if (is_x) { return transpose(mat4x4<f32>(x_load(at.x, n), x_load(at.y, n), x_load(at.z, n), x_load(at.w, n))); }
    return transpose(mat4x4<f32>(w_load(at.x, n), w_load(at.y, n), w_load(at.z, n), w_load(at.w, n)));
}

fn matmul_tiled(group: u32, thread: u32, p: Params) {
    let row = group / p.column_groups * BM;
    let col = group % p.column_groups * BN;
    let y = thread / ACROSS;
    let x = thread % ACROSS;
    // What this thread transposes: rows, past the last one any, and four numbers of them.
    let block_four = thread / (BK / 4u);
    let block_k = thread % (BK / 4u) * 4u;
    var rows: array<vec4<u32>, FOURS / STEP>;
    for (var b = 0u; b < FOURS / STEP; b++) {
        let four = b * STEP + block_four;
        let is_x = four < X_FOURS;
        let first = select(col + (four - X_FOURS) * 4u, row + four * 4u, is_x);
        rows[b] = min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(select(p.shard, p.rows, is_x) - 1u)) * p.inner;
    }
    var sums: array<vec4<f32>, TM * TN / 4u>;
    for (var i = 0u; i < TM * TN / 4u; i++) { sums[i] = vec4<f32>(); }
    for (var k = 0u; k < p.inner; k += BK) {
        for (var b = 0u; b < FOURS / STEP; b++) {
            let four = b * STEP + block_four;
            let numbers = block(four < X_FOURS, rows[b], k + block_k, p);
            for (var i = 0u; i < 4u; i++) { tile[(block_k + i) * FOURS + four] = numbers[i]; }
        }
        workgroupBarrier();
        for (var l = 0u; l < BK; l++) {
            var w4: array<vec4<f32>, TN / 4u>;
            for (var j = 0u; j < TN / 4u; j++) { w4[j] = tile[l * FOURS + X_FOURS + j * ACROSS + x]; }
            for (var i = 0u; i < TM / 4u; i++) {
                let x4 = tile[l * FOURS + i * (BM / TM) + y];
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

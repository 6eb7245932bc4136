// See matmul_reg. x and w are of signed bytes in groups of 32, with a step for each. A workgroup makes BM rows of BN columns, TM by four
// a thread; one group of each row and column at a time goes through workgroup memory.
// #import epilogue

struct Params { rows: u32, cols: u32, inner: u32, shard: u32, first: u32, column_groups: u32 }

const ACROSS: u32 = BN / 4u;
// A group is two vec4s of words. With a third between them, threads that read rows beside each other are in different banks.
const ROW: u32 = 3u;

var<workgroup> x_tile: array<vec4<u32>, BM * ROW>;
var<workgroup> w_tile: array<vec4<u32>, BN * ROW>;
var<workgroup> x_tile_steps: array<f32, BM>;
var<workgroup> w_tile_steps: array<f32, BN>;

fn product(x0: vec4<u32>, x1: vec4<u32>, w0: vec4<u32>, w1: vec4<u32>) -> i32 {
    var sum = dot4I8Packed(x0.x, w0.x);
    sum += dot4I8Packed(x0.y, w0.y);
    sum += dot4I8Packed(x0.z, w0.z);
    sum += dot4I8Packed(x0.w, w0.w);
    sum += dot4I8Packed(x1.x, w1.x);
    sum += dot4I8Packed(x1.y, w1.y);
    sum += dot4I8Packed(x1.z, w1.z);
    sum += dot4I8Packed(x1.w, w1.w);
    return sum;
}

fn matmul_int8(group: u32, thread: u32, p: Params) {
    let row = group / p.column_groups * BM;
    let col = group % p.column_groups * BN;
    let y = thread / ACROSS * TM;
    let x = thread % ACROSS;
    let groups = p.inner / 32u;
    var sums: array<vec4<f32>, TM>;
    for (var i = 0u; i < TM; i++) { sums[i] = vec4<f32>(); }
    for (var g = 0u; g < groups; g++) {
        for (var i = thread; i < BM * 2u; i += WG) {
            x_tile[i / 2u * ROW + i % 2u] = x_raw((min(row + i / 2u, p.rows - 1u) * groups + g) * 2u + i % 2u);
        }
        for (var i = thread; i < BM; i += WG) { x_tile_steps[i] = x_steps_get(min(row + i, p.rows - 1u) * groups + g); }
        // A thread's columns lie ACROSS places apart, so that threads beside each other read beside each other.
        for (var i = thread; i < BN * 2u; i += WG) {
            let c = i / 2u;
            w_tile[(c % 4u * ACROSS + c / 4u) * ROW + i % 2u] = w_raw((min(col + c, p.shard - 1u) * groups + g) * 2u + i % 2u);
        }
        for (var c = thread; c < BN; c += WG) {
            w_tile_steps[c % 4u * ACROSS + c / 4u] = w_steps_get(min(col + c, p.shard - 1u) * groups + g);
        }
        workgroupBarrier();
        var w0: array<vec4<u32>, 4>;
        var w1: array<vec4<u32>, 4>;
        for (var j = 0u; j < 4u; j++) {
            w0[j] = w_tile[(j * ACROSS + x) * ROW];
            w1[j] = w_tile[(j * ACROSS + x) * ROW + 1u];
        }
        let steps = vec4<f32>(w_tile_steps[x], w_tile_steps[ACROSS + x], w_tile_steps[2u * ACROSS + x], w_tile_steps[3u * ACROSS + x]);
        for (var i = 0u; i < TM; i++) {
            let x0 = x_tile[(y + i) * ROW];
            let x1 = x_tile[(y + i) * ROW + 1u];
            let exact = vec4<i32>(
                product(x0, x1, w0[0], w1[0]),
                product(x0, x1, w0[1], w1[1]),
                product(x0, x1, w0[2], w1[2]),
                product(x0, x1, w0[3], w1[3]),
            );
            sums[i] = fma(vec4<f32>(exact), x_tile_steps[y + i] * steps, sums[i]);
        }
        workgroupBarrier();
    }
    let c = column(col + x * 4u, p);
    for (var i = 0u; i < TM; i++) { finish(row + y + i, c, sums[i], p); }
}

// Workgroup memory for cooperative matrices of SIZE by SIZE: a workgroup is SM by SN subgroups, each of which makes FM by FN
// fragments. BK numbers of each row of x and w, in rows that are padded against bank conflicts; and a fragment of sums for
// each subgroup. Tiles are declared by vec4s (SPIR-V) or one by one (Metal).

const BM: u32 = SM * FM * SIZE;
const BN: u32 = SN * FN * SIZE;
const ROW: u32 = (BK + PAD) / 4u; // in vec4s

var<workgroup> sums: array<f32, SM * SN * SIZE * SIZE>;
// #if VEC4_ARRAYS
const UNIT: u32 = 1u;
var<workgroup> x_tile: array<vec4<f16>, BM * ROW>;
var<workgroup> w_tile: array<vec4<f16>, BN * ROW>;

fn put_x(four: u32, v: vec4<f16>) { x_tile[four] = v; }
fn put_w(four: u32, v: vec4<f16>) { w_tile[four] = v; }
// #else
const UNIT: u32 = 4u;
var<workgroup> x_tile: array<f16, BM * ROW * 4u>;
var<workgroup> w_tile: array<f16, BN * ROW * 4u>;

fn put_x(four: u32, v: vec4<f16>) {
    // #for e in 4
    x_tile[four * 4u + $eu] = v[$e];
    // #end
}

fn put_w(four: u32, v: vec4<f16>) {
    // #for e in 4
    w_tile[four * 4u + $eu] = v[$e];
    // #end
}
// #end

// Where a fragment of a tile begins.
fn fragment_at(row: u32, k: u32) -> u32 { return (row * ROW + k / 4u) * UNIT; }

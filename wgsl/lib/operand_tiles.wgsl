// Workgroup memory for cooperative matrices of SIZE by SIZE: a workgroup is SM by SN subgroups, each of which makes FM by FN fragments. BK numbers
// of each row of x and w, in rows that are padded so that lanes meet in no bank; and a fragment of sums for each subgroup.
//
// Lines with a mark are there where their constant is 1: $four and $one for how tiles are declared, by fours (SPIR-V) or one by one (Metal).

const BM: u32 = SM * FM * SIZE;
const BN: u32 = SN * FN * SIZE;
const BK: u32 = 32u;
const ROW: u32 = BK + 8u;
const UNIT: u32 = 1u; // $one
const UNIT: u32 = 4u; // $four
const STRIDE: u32 = ROW / UNIT;

var<workgroup> x_tile: array<f16, BM * ROW>; // $one
var<workgroup> w_tile: array<f16, BN * ROW>; // $one
var<workgroup> x_tile: array<vec4<f16>, BM * ROW / 4u>; // $four
var<workgroup> w_tile: array<vec4<f16>, BN * ROW / 4u>; // $four
var<workgroup> sums: array<f32, SM * SN * SIZE * SIZE>;

fn put_x(at: u32, v: vec4<f16>) {
    x_tile[at / 4u] = v; // $four
    x_tile[at] = v.x; // $one
    x_tile[at + 1u] = v.y; // $one
    x_tile[at + 2u] = v.z; // $one
    x_tile[at + 3u] = v.w; // $one
}

fn put_w(at: u32, v: vec4<f16>) {
    w_tile[at / 4u] = v; // $four
    w_tile[at] = v.x; // $one
    w_tile[at + 1u] = v.y; // $one
    w_tile[at + 2u] = v.z; // $one
    w_tile[at + 3u] = v.w; // $one
}

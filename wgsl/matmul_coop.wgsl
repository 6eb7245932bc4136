// See matmul_reg. Cooperative matrices of SIZE by SIZE, of f16, summed in f32. A workgroup is SM by SN subgroups, each of which makes
// FM by FN fragments:
//
//     copy the first tiles of x and w to workgroup memory
//     for each tile of BK numbers:
//         load the next tiles into registers
//         sum[i][j] += x_fragment[i] * w_fragment[j], for all fragments
//         copy the registers to workgroup memory
//     store the sums fragment by fragment, through workgroup memory, since the element-to-lane mapping of a cooperative matrix is opaque
//
// Loads stand behind no condition: compilers would wait for each at once. Past the end they read the last numbers again, which
// become zeros on their way to workgroup memory where TAIL says that `inner` is no multiple of BK. A thread loads RUN vec4s beside
// each other, of LX rows of x and LW rows of w.
// #import epilogue, operand_tiles

struct Params { rows: u32, cols: u32, inner: u32, shard: u32, first: u32, column_groups: u32 }

const ACROSS: u32 = BK / (4u * RUN); // threads along a row of a tile
const APART: u32 = WG / ACROSS; // rows between a thread's loads

// Where a thread's loads of a row begin, in units of RUN vec4s; where four `e` of the one `next` units further on lies; and what of it
// there is.
// #if TAIL
fn row_at(row: u32, unit: u32, p: Params) -> u32 { return row * (p.inner / 4u); }
fn four_at(row: u32, unit: u32, next: u32, e: u32, p: Params) -> u32 {
    return row + min((unit + next) * RUN + e, p.inner / 4u - 1u);
}
fn kept(v: vec4<f16>, unit: u32, next: u32, e: u32, p: Params) -> vec4<f16> {
    return select(vec4<f16>(), v, (unit + next) * RUN + e < p.inner / 4u);
}
// #else
fn row_at(row: u32, unit: u32, p: Params) -> u32 { return row * (p.inner / (4u * RUN)) + unit; }
// A multiple of RUN, so that compilers see that they can load all of it at once.
fn four_at(row: u32, unit: u32, next: u32, e: u32, p: Params) -> u32 {
    return (row + min(next, p.inner / (4u * RUN) - ACROSS)) * RUN + e;
}
fn kept(v: vec4<f16>, unit: u32, next: u32, e: u32, p: Params) -> vec4<f16> { return v; }
// #end

// Stored sums of a subgroup's fragment, from the product's row and column on.
fn finish_fragment(row: u32, col: u32, subgroup: Subgroup, p: Params) {
    for (var four = subgroup.lane; four < SIZE * SIZE / 4u; four += LANES) {
        let at = subgroup.id * SIZE * SIZE + four * 4u;
        let c = column(col + four % (SIZE / 4u) * 4u, p);
        finish(row + four / (SIZE / 4u), c, vec4<f32>(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]), p);
    }
}

// Where a thread's load of this number goes in a tile.
fn put_at(number: u32) -> u32 { return number / ACROSS * ROW + number % ACROSS * RUN; }

fn matmul_coop(group: u32, thread: u32, p: Params, subgroup: Subgroup) {
    let row = group / p.column_groups * BM;
    let col = group % p.column_groups * BN;
    let tile_row = subgroup.id / SN * FM * SIZE;
    let tile_col = subgroup.id % SN * FN * SIZE;
    let own_row = thread / ACROSS;
    let own_unit = thread % ACROSS;
    // #for x in LX
    let x_row_$x = row_at(min(row + own_row + $xu * APART, p.rows - 1u), own_unit, p);
    // #for e in RUN
    let first_x_$x_$e = x_data[four_at(x_row_$x, own_unit, 0u, $eu, p)];
    // #end
    // #end
    // #for w in LW
    let w_row_$w = row_at(min(col + own_row + $wu * APART, p.shard - 1u), own_unit, p);
    // #for e in RUN
    let first_w_$w_$e = w_data[four_at(w_row_$w, own_unit, 0u, $eu, p)];
    // #end
    // #end
    // #for x in LX
    // #for e in RUN
    put_x(put_at(thread + $xu * WG) + $eu, kept(first_x_$x_$e, own_unit, 0u, $eu, p));
    // #end
    // #end
    // #for w in LW
    // #for e in RUN
    put_w(put_at(thread + $wu * WG) + $eu, kept(first_w_$w_$e, own_unit, 0u, $eu, p));
    // #end
    // #end
    // Products of zeros, so that compilers give a fragment registers beside each other: see attention_coop.
    let zero_a = coop_mat$sizex$size<f16, A>();
    let zero_b = coop_mat$sizex$size<f16, B>();
    // #for i in FM
    // #for j in FN
    var sum_$i_$j = coopMultiplyAdd(zero_a, zero_b, coop_mat$sizex$size<f32, C>());
    // #end
    // #end
    for (var k = 0u; k < p.inner; k += BK) {
        workgroupBarrier();
        let next = (k + BK) / (4u * RUN);
        // #for x in LX
        // #for e in RUN
        let x_$x_$e = x_data[four_at(x_row_$x, own_unit, next, $eu, p)];
        // #end
        // #end
        // #for w in LW
        // #for e in RUN
        let w_$w_$e = w_data[four_at(w_row_$w, own_unit, next, $eu, p)];
        // #end
        // #end
        for (var l = 0u; l < BK; l += SIZE) {
            // #for i in FM
            let a_$i = coopLoadT<coop_mat$sizex$size<f16, A>>(&x_tile[fragment_at(tile_row + $iu * SIZE, l)], ROW * UNIT);
            // #end
            // #for j in FN
            let b_$j = coopLoad<coop_mat$sizex$size<f16, B>>(&w_tile[fragment_at(tile_col + $ju * SIZE, l)], ROW * UNIT);
            // #end
            // #for i in FM
            // #for j in FN
            sum_$i_$j = coopMultiplyAdd(a_$i, b_$j, sum_$i_$j);
            // #end
            // #end
        }
        workgroupBarrier();
        // #for x in LX
        // #for e in RUN
        put_x(put_at(thread + $xu * WG) + $eu, kept(x_$x_$e, own_unit, next, $eu, p));
        // #end
        // #end
        // #for w in LW
        // #for e in RUN
        put_w(put_at(thread + $wu * WG) + $eu, kept(w_$w_$e, own_unit, next, $eu, p));
        // #end
        // #end
    }
    let sums_at = subgroup.id * SIZE * SIZE;
    // #for i in FM
    // #for j in FN
    coopStoreT(sum_$i_$j, &sums[sums_at], SIZE);
    workgroupBarrier();
    finish_fragment(row + tile_row + $iu * SIZE, col + tile_col + $ju * SIZE, subgroup, p);
    workgroupBarrier();
    // #end
    // #end
}

// See matmul_reg. Cooperative matrices of SIZE by SIZE: a workgroup is SM by SN subgroups, each of which makes FM by FN fragments. Tiles of
// BK numbers of x and w go through workgroup memory, in rows that are padded so that lanes meet in no bank; the next ones are on their way
// in registers meanwhile. Sums leave through workgroup memory too, since fragments show nothing of themselves. Needs lib/activation,
// lib/epilogue and lib/operand_tiles.
//
// Lines with a mark are repeated: $i for FM, $j for FN, $x and $w for the fours of x and w that a lane carries.

struct Params { rows: u32, cols: u32, inner: u32, shard: u32, first: u32, column_groups: u32 }

// Four numbers of x, zeros past `inner`, any numbers past the last row.
fn x_four(number: u32, row: u32, k: u32, p: Params) -> vec4<f16> {
    let from_k = k + number % (BK / 4u) * 4u;
    if (from_k >= p.inner) { return vec4<f16>(); }
    return x_data[(min(row + number / (BK / 4u), p.rows - 1u) * p.inner + from_k) / 4u];
}

fn w_four(number: u32, row: u32, k: u32, p: Params) -> vec4<f16> {
    let from_k = k + number % (BK / 4u) * 4u;
    if (from_k >= p.inner) { return vec4<f16>(); }
    return w_data[(min(row + number / (BK / 4u), p.shard - 1u) * p.inner + from_k) / 4u];
}

fn place(number: u32) -> u32 { return number / (BK / 4u) * ROW + number % (BK / 4u) * 4u; }

// Stored sums of a subgroup's fragment, from the product's row and column on.
fn finish_fragment(row: u32, col: u32, subgroup: Subgroup, p: Params) {
    for (var four = subgroup.lane; four < SIZE * SIZE / 4u; four += LANES) {
        let at = subgroup.id * SIZE * SIZE + four * 4u;
        let c = column(col + four % (SIZE / 4u) * 4u, p);
        finish(row + four / (SIZE / 4u), c, vec4<f32>(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]), p);
    }
}

fn matmul_coop(group: u32, lane: u32, p: Params, subgroup: Subgroup) {
    let row = group / p.column_groups * BM;
    let col = group % p.column_groups * BN;
    let tile_row = subgroup.id / SN * FM * SIZE;
    let tile_col = subgroup.id % SN * FN * SIZE;
    var sum_$i_$j = coop_mat$sizex$size<f32, C>();
    var x_$x = x_four(lane + $xu * WG, row, 0u, p);
    var w_$w = w_four(lane + $wu * WG, col, 0u, p);
    for (var k = 0u; k < p.inner; k += BK) {
        put_x(place(lane + $xu * WG), x_$x);
        put_w(place(lane + $wu * WG), w_$w);
        workgroupBarrier();
        x_$x = x_four(lane + $xu * WG, row, k + BK, p);
        w_$w = w_four(lane + $wu * WG, col, k + BK, p);
        for (var l = 0u; l < BK; l += SIZE) {
            let a_$i = coopLoadT<coop_mat$sizex$size<f16, A>>(&x_tile[((tile_row + $iu * SIZE) * ROW + l) / UNIT], STRIDE);
            let b_$j = coopLoad<coop_mat$sizex$size<f16, B>>(&w_tile[((tile_col + $ju * SIZE) * ROW + l) / UNIT], STRIDE);
            sum_$i_$j = coopMultiplyAdd(a_$i, b_$j, sum_$i_$j);
        }
        workgroupBarrier();
    }
    let sums_at = subgroup.id * SIZE * SIZE;
    coopStoreT(sum_$i_$j, &sums[sums_at], SIZE); workgroupBarrier(); finish_fragment(row + tile_row + $iu * SIZE, col + tile_col + $ju * SIZE, subgroup, p); workgroupBarrier();
}

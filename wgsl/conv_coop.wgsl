// See conv_reg. Cooperative matrices of SIZE by SIZE, for weights of f16, which x is rounded to as well: a workgroup is SM by SN subgroups,
// each of which makes FM by FN fragments of pixels by channels. Slices of BK channels of one tap go through workgroup memory, in
// rows that are padded so that lanes meet in no bank; the next ones are on their way in registers meanwhile. Sums leave through
// workgroup memory too, since fragments show nothing of themselves. Needs lib/activation, lib/finish, lib/taps and lib/operand_tiles.
//
// Lines with a mark are repeated: $i for FM, $j for FN, $x and $w for the fours of x and w that a lane carries.

// One tap, and the first of its channels; `tap` may be past the last one.
struct Slice { tap: u32, begin: u32 }

fn next_slice(slice: Slice, p: Params) -> Slice {
    if (slice.begin + BK < p.in_c) { return Slice(slice.tap, slice.begin + BK); }
    return Slice(slice.tap + 1u, 0u);
}

// Four channels of a pixel whose first tap is `at`.
fn x_four(at: vec3<i32>, channel: u32, slice: Slice, p: Params) -> vec4<f16> {
    let c = slice.begin + channel;
    let place = at + offset_of(slice.tap, p);
    if (c >= p.in_c || !is_inside(place, p)) { return vec4<f16>(); }
    let x4 = frame_load(place.x, start_of(place, p) + c, p.in_c - c);
    return vec4<f16>(clamp(x4, vec4<f32>(-65504.0), vec4<f32>(65504.0)));
}

fn w_four(row: u32, channel: u32, slice: Slice, p: Params) -> vec4<f16> {
    let c = slice.begin + channel;
    let taps = p.k_t * p.k_h * p.k_w;
    if (c >= p.in_c || slice.tap >= taps) { return vec4<f16>(); }
    return w_data[((min(row, p.out_c - 1u) * taps + slice.tap) * p.in_c + c) / 4u];
}

// Stored sums of a subgroup's fragment, from the output's pixel and channel on.
fn finish_fragment(pixel: u32, col: u32, subgroup: Subgroup, p: Params) {
    for (var four = subgroup.lane; four < SIZE * SIZE / 4u; four += LANES) {
        let at = subgroup.id * SIZE * SIZE + four * 4u;
        let row = pixel + four / (SIZE / 4u);
        let column = col + four % (SIZE / 4u) * 4u;
        if (row >= p.out_t * p.out_h * p.out_w || column >= p.out_c) { continue; }
        let n = p.out_c - column;
        let e = row * p.out_c + column;
        let sum = vec4<f32>(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]);
        finish(e, column, n, sum + bias_load(column, n), p);
    }
}

fn conv_coop(group: u32, lane: u32, p: Params, subgroup: Subgroup) {
    let pixel = group / p.column_groups * BM;
    let col = group % p.column_groups * BN;
    let tile_row = subgroup.id / SN * FM * SIZE;
    let tile_col = subgroup.id % SN * FN * SIZE;
    // Of what a lane carries: rows, WG / 8 apart, and channels.
    let row = lane / (BK / 4u);
    let channel = lane % (BK / 4u) * 4u;
    let at_$x = first_tap(pixel + row + $xu * (WG * 4u / BK), p);
    // A causal convolution of one frame has whole taps in the padding.
    let skipped = select(0u, u32(max(-i32(p.past) - first_tap(pixel, p).x, 0)), p.out_t == 1u);
    var slice = Slice(skipped * p.k_h * p.k_w, 0u);
    var sum_$i_$j = coop_mat$sizex$size<f32, C>();
    var x_$x = x_four(at_$x, channel, slice, p);
    var w_$w = w_four(col + row + $wu * (WG * 4u / BK), channel, slice, p);
    while (slice.tap < p.k_t * p.k_h * p.k_w) {
        put_x((row + $xu * (WG * 4u / BK)) * ROW + channel, x_$x);
        put_w((row + $wu * (WG * 4u / BK)) * ROW + channel, w_$w);
        workgroupBarrier();
        slice = next_slice(slice, p);
        x_$x = x_four(at_$x, channel, slice, p);
        w_$w = w_four(col + row + $wu * (WG * 4u / BK), channel, slice, p);
        for (var l = 0u; l < BK; l += SIZE) {
            let a_$i = coopLoadT<coop_mat$sizex$size<f16, A>>(&x_tile[((tile_row + $iu * SIZE) * ROW + l) / UNIT], STRIDE);
            let b_$j = coopLoad<coop_mat$sizex$size<f16, B>>(&w_tile[((tile_col + $ju * SIZE) * ROW + l) / UNIT], STRIDE);
            sum_$i_$j = coopMultiplyAdd(a_$i, b_$j, sum_$i_$j);
        }
        workgroupBarrier();
    }
    let sums_at = subgroup.id * SIZE * SIZE;
    coopStoreT(sum_$i_$j, &sums[sums_at], SIZE); workgroupBarrier(); finish_fragment(pixel + tile_row + $iu * SIZE, col + tile_col + $ju * SIZE, subgroup, p); workgroupBarrier();
}

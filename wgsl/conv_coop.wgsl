// See conv_reg. Cooperative matrices of SIZE by SIZE, for weights of f16, which x is rounded to as well. A workgroup is SM by SN
// subgroups, each of which makes FM by FN fragments of pixels by channels:
//
//     copy the first slice of x and w, BK channels of one tap, to workgroup memory
//     for each slice:
//         go on to the next channels, or to the next tap: only there is it seen where the tap's pixels lie
//         load the next slice into registers
//         sum[i][j] += x_fragment[i] * w_fragment[j], for all fragments
//         copy the registers to workgroup memory, zeros where there is no pixel or channel
//     store the sums fragment by fragment, through workgroup memory, since the element-to-lane mapping of a cooperative matrix is opaque
//
// A thread carries four channels of LX pixels and LW rows of w. Loads stand behind no condition of a thread's own: compilers would
// wait for each at once.
// #import finish, taps, operand_tiles

const ACROSS: u32 = BK / 4u; // threads along a row of a slice
const APART: u32 = WG / ACROSS; // rows between a thread's vec4s

// What one tap of an output pixel sees: whether there is a pixel, and where it begins, in vec4s; some pixel's where there is none.
struct Seen { at: u32, inside: bool }

fn seen(first: vec3<i32>, tap: u32, p: Params) -> Seen {
    let place = first + offset_of(tap, p);
    let last = vec3<i32>(vec3<u32>(p.in_t, p.in_h << p.up, p.in_w << p.up)) - 1;
    return Seen(start_of(min(place, last), p) / 4u, is_inside(place, p));
}

// Of frame 0 or, before it, of the past.
fn frame_f16(frame: i32, four: u32) -> vec4<f16> {
    if (frame >= 0) { return x_f16(four); }
    if (frame == -1) { return past1_f16(four); }
    return past2_f16(four);
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

fn conv_coop(group: u32, thread: u32, p: Params, subgroup: Subgroup) {
    let pixel = group / p.column_groups * BM;
    let col = group % p.column_groups * BN;
    let tile_row = subgroup.id / SN * FM * SIZE;
    let tile_col = subgroup.id % SN * FN * SIZE;
    let own_row = thread / ACROSS;
    let own_four = thread % ACROSS;
    let put_at = own_row * ROW + own_four;
    let vec4s = p.in_c / 4u;
    let taps = p.k_t * p.k_h * p.k_w;
    // Frames differ from thread to thread only where there is no past: see `conv`.
    let front = first_tap(pixel, p).x;
    // A causal convolution of one frame has whole taps in the padding.
    var tap = select(0u, u32(max(-i32(p.past) - front, 0)), p.out_t == 1u) * p.k_h * p.k_w;
    var begin = 0u;
    let slices = (taps - min(tap, taps)) * ((p.in_c + BK - 1u) / BK);
    tap = min(tap, taps - 1u);
    var frame = select(front + offset_of(tap, p).x, 0, p.past == 0u);
    var four = min(own_four, vec4s - 1u);
    // #for x in LX
    let first_$x = first_tap(pixel + own_row + $xu * APART, p);
    var seen_$x = seen(first_$x, tap, p);
    let first_x_$x = frame_f16(frame, seen_$x.at + four);
    put_x(put_at + $xu * (APART * ROW), select(vec4<f16>(), first_x_$x, seen_$x.inside && own_four < vec4s));
    // #end
    // #for w in LW
    let w_row_$w = min(col + own_row + $wu * APART, p.out_c - 1u) * taps * vec4s;
    let first_w_$w = w_data[w_row_$w + tap * vec4s + four];
    put_w(put_at + $wu * (APART * ROW), select(vec4<f16>(), first_w_$w, own_four < vec4s));
    // #end
    // Products of zeros, so that compilers give a fragment registers beside each other: see attention_coop.
    let zero_a = coop_mat$sizex$size<f16, A>();
    let zero_b = coop_mat$sizex$size<f16, B>();
    // #for i in FM
    // #for j in FN
    var sum_$i_$j = coopMultiplyAdd(zero_a, zero_b, coop_mat$sizex$size<f32, C>());
    // #end
    // #end
    for (var slice = 0u; slice < slices; slice++) {
        workgroupBarrier();
        begin += ACROSS;
        if (begin >= vec4s) {
            begin = 0u;
            tap = min(tap + 1u, taps - 1u);
            frame = select(front + offset_of(tap, p).x, 0, p.past == 0u);
            // #for x in LX
            seen_$x = seen(first_$x, tap, p);
            // #end
        }
        four = min(begin + own_four, vec4s - 1u);
        let is_there = begin + own_four < vec4s;
        // #for x in LX
        var x_$x: vec4<f16>;
        // #end
        if (frame >= 0) {
            // #for x in LX
            x_$x = x_f16(seen_$x.at + four);
            // #end
        } else if (frame == -1) {
            // #for x in LX
            x_$x = past1_f16(seen_$x.at + four);
            // #end
        } else {
            // #for x in LX
            x_$x = past2_f16(seen_$x.at + four);
            // #end
        }
        // #for w in LW
        let w_$w = w_data[w_row_$w + tap * vec4s + four];
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
        put_x(put_at + $xu * (APART * ROW), select(vec4<f16>(), x_$x, seen_$x.inside && is_there));
        // #end
        // #for w in LW
        put_w(put_at + $wu * (APART * ROW), select(vec4<f16>(), w_$w, is_there));
        // #end
    }
    let sums_at = subgroup.id * SIZE * SIZE;
    // #for i in FM
    // #for j in FN
    coopStoreT(sum_$i_$j, &sums[sums_at], SIZE);
    workgroupBarrier();
    finish_fragment(pixel + tile_row + $iu * SIZE, col + tile_col + $ju * SIZE, subgroup, p);
    workgroupBarrier();
    // #end
    // #end
}

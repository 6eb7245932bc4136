// See conv_reg. For software drivers, on which a subgroup of eight lanes is a vector register: a workgroup is one subgroup, and LANES of
// it make TM pixels of 4 LANES VECS channels, TM by 4 VECS a lane; the others make the pixels after them. Of each pixel its lanes load
// 4 LANES channels at once, four each, and hand them round by shuffles. HOW they do it: 1, of few channels, four each of as many taps as
// have them; 2, of windows of one pixel, which lie in a row and need no test for edges, the channels of PACK pixels; 0, otherwise. The
// weights lie in the order in which they are read: [tile, tap, c, 4 LANES VECS].
// #import finish, taps

const COLS: u32 = 4u * LANES * VECS;
// Lanes that have the channels of one pixel.
const EACH: u32 = LANES / PACK;

// Adds the products of `vec4s` times four channels that lanes from `first` on have, with weights from `w_at` on.
fn accumulate(sums: ptr<function, array<array<vec4<f32>, VECS>, TM>>, x4: array<vec4<f32>, TM>, w_at: u32, vec4s: u32, first: u32) {
    for (var l = 0u; l < vec4s; l++) {
        let at = w_at + l * 4u * COLS;
        var w4: array<mat4x4<f32>, VECS>;
        for (var j = 0u; j < VECS; j++) {
            let e = at + j * 4u * LANES;
            w4[j] = mat4x4<f32>(w_load(e, 4u), w_load(e + COLS, 4u), w_load(e + 2u * COLS, 4u), w_load(e + 3u * COLS, 4u));
        }
        for (var i = 0u; i < TM; i++) {
            let x = subgroupShuffle(x4[i / PACK], first + i % PACK * EACH + l);
            for (var j = 0u; j < VECS; j++) {
                (*sums)[i][j] = fma(x.wwww, w4[j][3], fma(x.zzzz, w4[j][2], fma(x.yyyy, w4[j][1], fma(x.xxxx, w4[j][0], (*sums)[i][j]))));
            }
        }
    }
}

fn conv_sg(group: u32, lane: u32, p: Params, subgroup: Subgroup) {
    let pixels = p.out_t * p.out_h * p.out_w;
    let own_lane = subgroup.lane % LANES;
    // By `select`, so that compilers know it to be 0 where LANES are all of the subgroup.
    let first = select(subgroup.lane - own_lane, 0u, LANES == 8u);
    let pixel = (group / p.column_groups * (8u / LANES) + first / LANES) * TM;
    let tile = group % p.column_groups;
    let mine = own_lane * 4u;
    let in_c_padded = (p.in_c + 3u) / 4u * 4u;
    var sums: array<array<vec4<f32>, VECS>, TM>;
    var at: array<vec3<i32>, TM>;
    for (var i = 0u; i < TM; i++) {
        for (var j = 0u; j < VECS; j++) { sums[i][j] = vec4<f32>(); }
    }
    let row = own_lane % EACH * 4u;
    for (var c = 0u; c < select(0u, p.in_c, HOW == 2u); c += 4u * EACH) {
        let e = select(0u, c + row, c + row < p.in_c);
        var x4: array<vec4<f32>, TM>;
        for (var i = 0u; i < TM / PACK; i++) {
            let x = x_load(min(pixel + i * PACK + own_lane / EACH, pixels - 1u) * p.in_c + e, p.in_c - e);
            x4[i] = select(vec4<f32>(), x, c + row < p.in_c);
        }
        accumulate(&sums, x4, (tile * in_c_padded + c) * COLS + mine, min(EACH, (in_c_padded - c) / 4u), first);
    }
    if (HOW != 2u) {
        var place = pixel_at(pixel, p);
        for (var i = 0u; i < TM; i++) {
            at[i] = first_tap_at(place, p);
            place = next_pixel(place, p);
        }
    }
    let taps = p.k_t * p.k_h * p.k_w;
    // Of few channels, the lanes load those of several taps at once.
    let vec4s = in_c_padded / 4u;
    let pieces = select(0u, taps * vec4s, HOW == 1u);
    for (var piece = 0u; piece < pieces; piece += LANES) {
        let own = min(piece + own_lane, pieces - 1u);
        let offset = offset_of(own / vec4s, p);
        let c = own % vec4s * 4u;
        var x4: array<vec4<f32>, TM>;
        for (var i = 0u; i < TM; i++) {
            let is_in = is_inside(at[i] + offset, p);
            x4[i] = select(vec4<f32>(), x_load(select(0u, start_of(at[i] + offset, p), is_in) + c, p.in_c - c), is_in);
        }
        accumulate(&sums, x4, (tile * pieces + piece) * 4u * COLS + mine, min(LANES, pieces - piece), first);
    }
    var offset = vec3<i32>();
    for (var tap = 0u; tap < select(0u, taps, HOW == 0u); tap++) {
        var starts: array<u32, TM>;
        var inside: array<bool, TM>;
        var any_inside = false;
        for (var i = 0u; i < TM; i++) {
            let place = at[i] + offset;
            inside[i] = is_inside(place, p);
            any_inside |= inside[i];
            starts[i] = select(0u, start_of(place, p), inside[i]);
        }
        let frame = at[0].x + offset.x;
        offset = next_tap(offset, p);
        let w_at = (tile * taps + tap) * in_c_padded * COLS + mine;
        for (var c = 0u; c < select(0u, p.in_c, any_inside); c += 4u * LANES) {
            let e = select(0u, c + mine, c + mine < p.in_c);
            let n = p.in_c - e;
            var x4: array<vec4<f32>, TM>;
            if (PAST == 0u) {
                for (var i = 0u; i < TM; i++) { x4[i] = select(vec4<f32>(), x_load(starts[i] + e, n), inside[i]); }
            } else {
                // Loops of one round or none: of branches, software drivers take every one.
                for (var once = frame >= 0; once; once = false) {
                    for (var i = 0u; i < TM; i++) { x4[i] = select(vec4<f32>(), x_load(starts[i] + e, n), inside[i]); }
                }
                for (var once = frame == -1; once; once = false) {
                    for (var i = 0u; i < TM; i++) { x4[i] = select(vec4<f32>(), past1_load(starts[i] + e, n), inside[i]); }
                }
                for (var once = frame == -2; once; once = false) {
                    for (var i = 0u; i < TM; i++) { x4[i] = select(vec4<f32>(), past2_load(starts[i] + e, n), inside[i]); }
                }
            }
            accumulate(&sums, x4, w_at + c * COLS, min(LANES, (in_c_padded - c) / 4u), first);
        }
    }
    for (var j = 0u; j < VECS; j++) {
        let col = tile * COLS + j * 4u * LANES + mine;
        if (col >= p.out_c) { continue; }
        let n = p.out_c - col;
        let bias4 = bias_load(col, n);
        for (var i = 0u; i < TM; i++) {
            if (pixel + i >= pixels) { break; }
            let e = (pixel + i) * p.out_c + col;
            finish(e, col, n, sums[i][j] + bias4, p);
        }
    }
}

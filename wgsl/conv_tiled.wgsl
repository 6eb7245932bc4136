// See conv_reg. A workgroup makes WG pixels of BN channels, TM by TN a thread; slices of 16 channels of one tap go through workgroup
// memory, transposed so that a thread reads vec4s of pixels and vec4s of channels. A thread's vec4s lie as far apart as there are threads
// along them, so that threads beside each other read beside each other.
// #import finish, taps, transposed

const BM: u32 = WG; // so each thread turns one block of four pixels by four channels
const SLICE: u32 = 16u;
const ACROSS: u32 = BN / TN;

var<workgroup> x_slice: array<vec4<f32>, SLICE * BM / 4u>;
var<workgroup> w_slice: array<vec4<f32>, SLICE * BN / 4u>;

fn conv_tiled(group: u32, thread: u32, p: Params) {
    let pixels = p.out_t * p.out_h * p.out_w;
    let pixel = group / p.column_groups * BM;
    let col = group % p.column_groups * BN;
    let y = thread / ACROSS;
    let x = thread % ACROSS;
    let block_row = thread / (SLICE / 4u);
    let block_c = thread % (SLICE / 4u) * 4u;
    var at: array<vec3<i32>, 4>;
    for (var i = 0u; i < 4u; i++) { at[i] = first_tap(pixel + block_row * 4u + i, p); }
    var sums: array<vec4<f32>, TM * TN / 4u>;
    for (var i = 0u; i < TM * TN / 4u; i++) { sums[i] = vec4<f32>(); }
    let taps = p.k_t * p.k_h * p.k_w;
    for (var tap = 0u; tap < taps; tap++) {
        let frame = first_tap(pixel, p).x + offset_of(tap, p).x;
        // A causal convolution has whole taps in the padding.
        let channels = select(0u, p.in_c, frame >= -i32(p.past) || p.out_t > 1u);
        for (var begin = 0u; begin < channels; begin += SLICE) {
            let c = begin + block_c;
            var rows = array<vec4<f32>, 4>();
            for (var i = 0u; i < 4u; i++) {
                let place = at[i] + offset_of(tap, p);
                if (c < p.in_c && is_inside(place, p)) { rows[i] = frame_load(place.x, start_of(place, p) + c, p.in_c - c); }
            }
            rows = transposed(rows);
            for (var i = 0u; i < 4u; i++) { x_slice[(block_c + i) * (BM / 4u) + block_row] = rows[i]; }
            for (var b = thread; b < SLICE * BN / 16u; b += WG) {
                let d = b % (SLICE / 4u) * 4u;
                let row = b / (SLICE / 4u);
                var weights = array<vec4<f32>, 4>();
                if (begin + d < p.in_c) {
                    for (var j = 0u; j < 4u; j++) {
                        let e = (min(col + row * 4u + j, p.out_c - 1u) * taps + tap) * p.in_c + begin + d;
                        weights[j] = w_load(e, p.in_c - (begin + d));
                    }
                }
                weights = transposed(weights);
                for (var j = 0u; j < 4u; j++) { w_slice[(d + j) * (BN / 4u) + row] = weights[j]; }
            }
            workgroupBarrier();
            for (var l = 0u; l < SLICE; l++) {
                var w4: array<vec4<f32>, TN / 4u>;
                for (var j = 0u; j < TN / 4u; j++) { w4[j] = w_slice[l * (BN / 4u) + j * ACROSS + x]; }
                for (var i = 0u; i < TM / 4u; i++) {
                    let x4 = x_slice[l * (BM / 4u) + i * (BM / TM) + y];
                    for (var j = 0u; j < TN / 4u; j++) {
                        let s = i * TN + j;
                        sums[s] += x4.x * w4[j];
                        sums[s + TN / 4u] += x4.y * w4[j];
                        sums[s + TN / 2u] += x4.z * w4[j];
                        sums[s + TN / 4u * 3u] += x4.w * w4[j];
                    }
                }
            }
            workgroupBarrier();
        }
    }
    for (var j = 0u; j < TN / 4u; j++) {
        let column = col + (j * ACROSS + x) * 4u;
        if (column >= p.out_c) { continue; }
        let n = p.out_c - column;
        let bias4 = bias_load(column, n);
        for (var i = 0u; i < TM; i++) {
            let row = pixel + (i / 4u * (BM / TM) + y) * 4u + i % 4u;
            if (row >= pixels) { continue; }
            let e = row * p.out_c + column;
            finish(e, column, n, sums[i * (TN / 4u) + j] + bias4, p);
        }
    }
}

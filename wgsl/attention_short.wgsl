// See attention_reg. For at most KEYS keys: a thread makes one query of one head with all its scores in registers.

const MASKED: f32 = -3.0e38;

struct Params { q_len: u32, k_len: u32, heads: u32, count: u32, dim: u32, scale: f32, shift_from: u32, shift_to: u32, shift: f32 }

fn attention_short(group: u32, thread: u32, p: Params) {
    let at = group * WG + thread;
    if (at >= p.count) { return; }
    let row = at / p.heads;
    let width = p.heads * p.dim;
    let query = row * width + at % p.heads * p.dim;
    let keys = row / p.q_len * p.k_len * width + at % p.heads * p.dim;
    var rows: array<u32, KEYS>;
    var scores: array<f32, KEYS>;
    for (var j = 0u; j < KEYS; j++) {
        rows[j] = keys + min(j, p.k_len - 1u) * width;
        scores[j] = 0.0;
    }
    for (var d = 0u; d < p.dim; d += 4u) {
        let q4 = q_load(query + d, p.dim - d);
        for (var j = 0u; j < KEYS; j++) { scores[j] += dot(q4, k_load(rows[j] + d, p.dim - d)); }
    }
    var row_max = MASKED;
    for (var j = 0u; j < KEYS; j++) {
        scores[j] = select(MASKED, scores[j] * p.scale, j < p.k_len);
        row_max = max(row_max, scores[j]);
    }
    var row_sum = 0.0;
    for (var j = 0u; j < KEYS; j++) {
        // Some drivers answer NaN where e^x would vanish.
        scores[j] = select(0.0, exp(max(scores[j] - row_max, -100.0)), j < p.k_len);
        row_sum += scores[j];
    }
    for (var d = 0u; d < p.dim; d += 4u) {
        var sum = vec4<f32>();
        for (var j = 0u; j < KEYS; j++) { sum += scores[j] * v_load(rows[j] + d, p.dim - d); }
        out_store(query + d, p.dim - d, sum / row_sum);
    }
}

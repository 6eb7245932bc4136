// Each 32 numbers of x as signed bytes, four in a word of `codes`, and in `steps` what they are to be multiplied with: 1/127 of their
// largest magnitude. A thread makes one such group.

struct Params { groups: u32 }

const VEC4S: u32 = 8u;

fn quantize_groups(group: u32, thread: u32, p: Params) {
    let at = group * WG + thread;
    if (at >= p.groups) { return; }
    var fours: array<vec4<f32>, VEC4S>;
    var most = vec4<f32>();
    for (var i = 0u; i < VEC4S; i++) {
        fours[i] = x_load((at * VEC4S + i) * 4u, 4u);
        most = max(most, abs(fours[i]));
    }
    let step = max(max(most.x, most.y), max(most.z, most.w)) / 127.0;
    for (var i = 0u; i < VEC4S; i++) {
        // A group of zeros has steps of none.
        let codes = round(fours[i] / max(step, 1e-30));
        let bytes = vec4<u32>(vec4<i32>(clamp(codes, vec4<f32>(-127.0), vec4<f32>(127.0)))) & vec4<u32>(0xffu);
        codes_set(at * VEC4S + i, bytes.x | bytes.y << 8u | bytes.z << 16u | bytes.w << 24u);
    }
    steps_set(at, step);
}

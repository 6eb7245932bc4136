//! How kernels reach their tensors: text that is generated for each slot, as [`kernel`](crate::gpu::kernel) says.

use crate::gpu::{kernel::Access, kernel::Slot, pipeline::Element};

/// What kernels on long words need beside their accessors.
pub(super) const LONG: &str = "fn in_two(word: u64) -> vec2<u32> { return vec2<u32>(u32(word & 0xfffffffflu), u32(word >> 32u)); }
fn in_four(words: vec2<u64>) -> vec4<u32> { return vec4<u32>(in_two(words.x), in_two(words.y)); }
fn in_one(words: vec2<u32>) -> u64 { return u64(words.x) | (u64(words.y) << 32u); }
";

/// The binding of a slot whose elements lie in its buffer so, and the functions by which a kernel reaches them; `long` as
/// in [`Dialect`](crate::gpu::Dialect).
pub(super) fn accessors(slot: &Slot, element: Element, binding: u32, long: bool) -> String {
    let access = match slot.access {
        Access::Read => "read",
        Access::Write => "read_write",
    };
    // The kernels that write words write the array itself.
    let is_long = long && !(element == Element::U32x4 && slot.access == Access::Write);
    let (array, vec4s) = if is_long { long_vec4s(element) } else { None }.or_else(|| vec4s(element)).unzip();
    let array = array.or(match element {
        Element::F32 => Some("f32"),
        Element::Odd16 => Some("vec2<u32>"),
        Element::U32 => Some("u32"),
        Element::NativeF16x4 => Some("vec4<f16>"),
        _ => None,
    });
    let declared =
        array.map(|array| format!("@group(0) @binding({binding}) var<storage, {access}> NAME_data: array<{array}>;\n")).unwrap_or_default();
    let [four, put] = vec4s.unwrap_or_default();
    let [put, stores] = if slot.access == Access::Write { [put, stores(element)] } else { [""; 2] };
    [&declared, four, put, loads(element), stores].concat().replace("NAME", slot.name)
}

/// What the array of a format in vec4s is of, and the functions that read and write it.
fn vec4s(element: Element) -> Option<(&'static str, [&'static str; 2])> {
    match element {
        Element::F32x4 => Some((
            "vec4<f32>",
            [
                "fn NAME_raw(at: u32) -> vec4<f32> { return NAME_data[at]; }\n",
                "fn NAME_put(at: u32, four: vec4<f32>) { NAME_data[at] = four; }\n",
            ],
        )),
        Element::F16x4 | Element::Bf16x4 => Some((
            "vec2<u32>",
            [
                "fn NAME_raw(at: u32) -> vec2<u32> { return NAME_data[at]; }\n",
                "fn NAME_put(at: u32, four: vec2<u32>) { NAME_data[at] = four; }\n",
            ],
        )),
        Element::U32x4 => Some(("vec4<u32>", ["fn NAME_raw(at: u32) -> vec4<u32> { return NAME_data[at]; }\n", ""])),
        _ => None,
    }
}

/// The same on long words.
fn long_vec4s(element: Element) -> Option<(&'static str, [&'static str; 2])> {
    match element {
        Element::F32x4 => Some((
            "vec2<u64>",
            [
                "fn NAME_raw(at: u32) -> vec4<f32> { return bitcast<vec4<f32>>(in_four(NAME_data[at])); }\n",
                "fn NAME_put(at: u32, four: vec4<f32>) {
    let words = bitcast<vec4<u32>>(four);
    NAME_data[at] = vec2<u64>(in_one(words.xy), in_one(words.zw));
}
",
            ],
        )),
        Element::F16x4 | Element::Bf16x4 => Some((
            "u64",
            [
                "fn NAME_raw(at: u32) -> vec2<u32> { return in_two(NAME_data[at]); }\n",
                "fn NAME_put(at: u32, four: vec2<u32>) { NAME_data[at] = in_one(four); }\n",
            ],
        )),
        Element::U32x4 => Some(("vec2<u64>", ["fn NAME_raw(at: u32) -> vec4<u32> { return in_four(NAME_data[at]); }\n", ""])),
        _ => None,
    }
}

fn loads(element: Element) -> &'static str {
    match element {
        Element::Absent => {
            "fn NAME_load(at: u32, count: u32) -> vec4<f32> { return vec4<f32>(); }
fn NAME_get(at: u32) -> f32 { return 0.0; }
"
        }
        // Elements past the row are read as its last one, then dropped: cheaper than three branches.
        Element::F32 => {
            "fn NAME_load(at: u32, count: u32) -> vec4<f32> {
    let last = count - 1u;
    let four = vec4<f32>(NAME_data[at], NAME_data[at + min(1u, last)], NAME_data[at + min(2u, last)], NAME_data[at + min(3u, last)]);
    return select(vec4<f32>(), four, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(count));
}
fn NAME_get(at: u32) -> f32 { return NAME_data[at]; }
"
        }
        Element::F32x4 => {
            "fn NAME_load(at: u32, count: u32) -> vec4<f32> { return NAME_raw(at >> 2u); }
fn NAME_get(at: u32) -> f32 { return NAME_raw(at >> 2u)[at & 3u]; }
"
        }
        Element::F16x4 => {
            "fn NAME_load(at: u32, count: u32) -> vec4<f32> {
    let words = NAME_raw(at >> 2u);
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}
fn NAME_get(at: u32) -> f32 { return unpack2x16float(NAME_raw(at >> 2u)[(at >> 1u) & 1u])[at & 1u]; }
"
        }
        Element::Bf16x4 => {
            "fn NAME_load(at: u32, count: u32) -> vec4<f32> {
    let words = NAME_raw(at >> 2u);
    return bitcast<vec4<f32>>(vec4<u32>(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u));
}
fn NAME_get(at: u32) -> f32 { return bitcast<f32>((NAME_raw(at >> 2u)[(at >> 1u) & 1u] >> ((at & 1u) * 16u)) << 16u); }
"
        }
        Element::U32 => "fn NAME_get(at: u32) -> u32 { return NAME_data[at]; }\n",
        Element::NativeF16x4 | Element::U32x4 | Element::Odd16 => "",
    }
}

fn stores(element: Element) -> &'static str {
    match element {
        Element::F32 => {
            "fn NAME_store(at: u32, count: u32, value: vec4<f32>) {
    NAME_data[at] = value.x;
    if (count > 1u) { NAME_data[at + 1u] = value.y; }
    if (count > 2u) { NAME_data[at + 2u] = value.z; }
    if (count > 3u) { NAME_data[at + 3u] = value.w; }
}
fn NAME_set(at: u32, value: f32) { NAME_data[at] = value; }
"
        }
        Element::F32x4 => "fn NAME_store(at: u32, count: u32, value: vec4<f32>) { NAME_put(at >> 2u, value); }\n",
        // Saturating: a value beyond f16 becomes the largest f16, never an infinity.
        Element::F16x4 => {
            "fn NAME_store(at: u32, count: u32, value: vec4<f32>) {
    let held = clamp(value, vec4<f32>(-65504.0), vec4<f32>(65504.0));
    NAME_put(at >> 2u, vec2<u32>(pack2x16float(held.xy), pack2x16float(held.zw)));
}
"
        }
        Element::U32 => "fn NAME_set(at: u32, value: u32) { NAME_data[at] = value; }\n",
        Element::Absent | Element::Bf16x4 | Element::NativeF16x4 | Element::U32x4 | Element::Odd16 => "",
    }
}

/// The function by which kernels on cooperative matrices read a slot in vec4s of f16, `NAME_f16(four)`.
pub(super) fn native_f16(slot: &Slot, element: Element) -> String {
    let text = match element {
        Element::Absent => "fn NAME_f16(four: u32) -> vec4<f16> { return vec4<f16>(); }\n",
        Element::NativeF16x4 => {
            "fn NAME_f16(four: u32) -> vec4<f16> { return NAME_data[four]; }
fn NAME_load(at: u32, count: u32) -> vec4<f32> { return vec4<f32>(NAME_data[at >> 2u]); }
"
        }
        // Saturating, as stores are.
        Element::F32x4 => {
            "fn NAME_f16(four: u32) -> vec4<f16> {
    return vec4<f16>(clamp(NAME_load(four * 4u, 4u), vec4<f32>(-65504.0), vec4<f32>(65504.0)));
}
"
        }
        _ => "",
    };
    text.replace("NAME", slot.name)
}

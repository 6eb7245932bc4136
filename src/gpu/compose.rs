//! From a kernel's file to a whole WGSL module.

use std::fmt::Write;

use crate::gpu::{accessors::LONG, accessors::accessors, kernel::Kernel, kernel::Needs, pipeline::Element};

/// Marks of lines that are repeated, and the constants that say how often.
const MARKS: [(&str, &str); 7] =
    [("$d", "FD"), ("$i", "FM"), ("$j", "FN"), ("$x", "LX"), ("$w", "LW"), ("$four", "FOURS"), ("$one", "ONES")];

/// What a device's modules are written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Parameters are immediates, and in a uniform buffer otherwise.
    pub immediates: bool,
    /// Tensors in fours are read and written by words of 64 bits: software drivers take as long for a word of 32.
    pub long: bool,
}

impl Kernel {
    /// The whole WGSL module for the chosen element formats and constants.
    pub fn compose(&self, elements: &[Element], constants: &[(&'static str, u32)], dialect: Dialect) -> String {
        let mut text = String::new();
        if self.needs == Needs::CooperativeMatrix {
            text.push_str("enable f16;\nenable wgpu_cooperative_matrix;\n");
        }
        for (name, value) in constants {
            line(&mut text, format_args!("const {name}: u32 = {value}u;"));
        }
        if !constants.iter().any(|(name, _)| *name == "WG") {
            line(&mut text, format_args!("const WG: u32 = {}u;", self.workgroup));
        }
        if dialect.long {
            text.push_str(LONG);
        }
        let mut binding = 0;
        for (slot, &element) in self.slots.iter().zip(elements) {
            text.push_str(&accessors(slot, element, binding, dialect.long));
            binding += u32::from(element != Element::Absent);
        }
        line(&mut text, format_args!("struct Immediates {{ first: u32, end: u32, width: u32, unused: u32, params: Params }}"));
        match dialect.immediates {
            true => line(&mut text, format_args!("var<immediate> immediates: Immediates;")),
            false => line(&mut text, format_args!("@group(0) @binding({binding}) var<uniform> immediates: Immediates;")),
        }
        for source in self.libs.iter().chain([&self.source]) {
            match self.needs {
                Needs::CooperativeMatrix => text.push_str(&unrolled(source, constants)),
                _ => text.push_str(source),
            }
        }
        text.push_str(&entry(self.name, self.needs));
        text
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments) {
    writeln!(text, "{arguments}").expect("writing to a string cannot fail");
}

/// Workgroups are numbered in one line, whatever the limits of a dispatch: `first..end` may be one slice of the whole.
fn entry(name: &str, needs: Needs) -> String {
    let (declaration, builtins, argument) = match needs {
        Needs::Nothing => ("", "", ""),
        _ => (
            "struct Subgroup { id: u32, lane: u32 }\n",
            ", @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) subgroup_lane: u32",
            ", Subgroup(subgroup, subgroup_lane)",
        ),
    };
    format!(
        "{declaration}@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32{builtins}) {{
    let group = immediates.first + id.x + id.y * immediates.width;
    if (group < immediates.end) {{ {name}(group, lane, immediates.params{argument}); }}
}}
"
    )
}

/// See [`Needs::CooperativeMatrix`].
fn unrolled(source: &str, constants: &[(&'static str, u32)]) -> String {
    let value = |name| constants.iter().find(|(known, _)| *known == name).map_or(1, |&(_, value)| value);
    let size = value("SIZE").to_string();
    let code = source.lines().filter(|line| !line.starts_with("//"));
    code.flat_map(|line| {
        MARKS.iter().fold(vec![format!("{}\n", line.replace("$size", &size))], |lines, (mark, name)| {
            let repeat = |line: String| match line.contains(mark) {
                true => (0..value(name)).map(|number| line.replace(mark, &number.to_string())).collect(),
                false => vec![line],
            };
            lines.into_iter().flat_map(repeat).collect()
        })
    })
    .collect()
}

//! From a kernel's file to a whole WGSL module.

use std::fmt::Write;

use crate::gpu::{
    accessors::LONG, accessors::accessors, accessors::native_f16, kernel::Kernel, kernel::Needs, library::imported, pipeline::Element,
};

/// What a device's modules are written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Parameters are immediates, and in a uniform buffer otherwise.
    pub immediates: bool,
    /// Tensors in vec4s are read and written by words of 64 bits: software drivers take as long for a word of 32.
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
            if self.needs == Needs::CooperativeMatrix {
                text.push_str(&native_f16(slot, element));
            }
            binding += u32::from(element != Element::Absent);
        }
        line(&mut text, format_args!("struct Immediates {{ first: u32, end: u32, width: u32, unused: u32, params: Params }}"));
        match dialect.immediates {
            true => line(&mut text, format_args!("var<immediate> immediates: Immediates;")),
            false => line(&mut text, format_args!("@group(0) @binding({binding}) var<uniform> immediates: Immediates;")),
        }
        for source in imported(self.source).into_iter().chain([self.source]) {
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
    let value = |name: &str| match name.parse() {
        Ok(number) => number,
        Err(_) => constants.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no constant {name}")).1,
    };
    let code = source.lines().filter(|line| !line.starts_with("//") || line.starts_with(DIRECTIVE)).map(str::to_string);
    let mut text = String::new();
    expand(&code.collect::<Vec<_>>(), &value, &mut text);
    match source.contains("$size") {
        true => text.replace("$size", &value("SIZE").to_string()),
        false => text,
    }
}

const DIRECTIVE: &str = "// #";

/// The directive of a line: its words.
fn directive(line: &str) -> Option<Vec<&str>> {
    Some(line.trim_start().strip_prefix(DIRECTIVE)?.split_whitespace().collect())
}

fn expand(lines: &[String], value: &impl Fn(&str) -> u32, text: &mut String) {
    let mut rest = lines;
    while let Some((line, after)) = rest.split_first() {
        rest = match directive(line).as_deref() {
            Some(["for", name, "in", count]) => {
                let ([body, _], after) = block(after);
                for number in 0..value(count) {
                    let body: Vec<_> = body.iter().map(|line| line.replace(&format!("${name}"), &number.to_string())).collect();
                    expand(&body, value, text);
                }
                after
            }
            Some(["if", name]) => {
                let ([body, otherwise], after) = block(after);
                expand(if value(name) != 0 { body } else { otherwise }, value, text);
                after
            }
            Some(["import", ..]) => after,
            Some(_) => panic!("no such directive: {line}"),
            None => {
                text.push_str(line);
                text.push('\n');
                after
            }
        };
    }
}

/// The lines up to the `#end` of a block that has begun, before and behind its `#else`, and those after it.
fn block(lines: &[String]) -> ([&[String]; 2], &[String]) {
    let mut depth = 0;
    let mut middle = None;
    for (at, line) in lines.iter().enumerate() {
        match directive(line).as_deref() {
            Some(["for", ..] | ["if", ..]) => depth += 1,
            Some(["else"]) if depth == 0 => middle = Some(at),
            Some(["end"]) if depth == 0 => {
                let [first, second] = [middle.unwrap_or(at), middle.map_or(at, |middle| middle + 1)];
                return ([&lines[..first], &lines[second..at]], &lines[at + 1..]);
            }
            Some(["end"]) => depth -= 1,
            _ => {}
        }
    }
    panic!("a block has no #end")
}

//! Functions that kernels share: the files of `wgsl/lib`, which `// #import` names.

use crate::gpu::activation::ACTIVATE;

macro_rules! libraries {
    ($($name:ident)*) => {
        /// The file of this name.
        pub(super) fn library(name: &str) -> Option<&'static str> {
            match name {
                "activate" => Some(ACTIVATE),
                $(stringify!($name) => Some(include_str!(concat!("../../wgsl/lib/", stringify!($name), ".wgsl"))),)*
                _ => None,
            }
        }
    };
}

libraries! { activation attention attention_bias online_softmax_rows epilogue finish operand_tiles reduce reduce_max inverse_rms taps transposed walk window }

const IMPORT: &str = "// #import ";

/// What a file imports, and what that imports in turn, each once and before what needs it.
pub(super) fn imported(source: &'static str) -> Vec<&'static str> {
    let mut files = Vec::new();
    collect(source, &mut files);
    files
}

fn collect(source: &'static str, files: &mut Vec<&'static str>) {
    for name in source.lines().filter_map(|line| line.strip_prefix(IMPORT)).flat_map(|names| names.split(", ")) {
        let file = library(name).unwrap_or_else(|| panic!("no wgsl/lib/{name}.wgsl"));
        if !files.contains(&file) {
            collect(file, files);
            files.push(file);
        }
    }
}

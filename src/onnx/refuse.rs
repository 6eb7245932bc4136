//! Which graphs are not read, and what to do about it.

use std::path::Path;

use super::host::operator;
use super::node::Node;
use crate::{Error, Result};

/// The versions of the operator set whose operators are known.
const OPSETS: std::ops::RangeInclusive<i64> = 6..=28;

/// Why operators are not supported, by name or the beginning of it, and what to do.
const FAMILIES: [(&[&str], &str, &str); 6] = [
    (&["If", "Loop", "Scan"], "it is control flow", "export the model by tracing it, and without the suppression of overlapping boxes"),
    (
        &["QLinear", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"],
        "it is quantised",
        "take the model in f32 or f16",
    ),
    (&["Sequence", "SplitToSequence", "ConcatFromSequence", "Optional"], "it is about lists of tensors", "export the model without them"),
    (&["Random", "Bernoulli", "Multinomial"], "it is about random numbers", "export the model for inference"),
    (&["LSTM", "GRU", "RNN"], "it is recurrent", "no network of this kind is needed here"),
    (&["String", "Regex", "TfIdf", "Label"], "it is about text", "no network of this kind is needed here"),
];

/// Checks the version of the operator set.
pub(super) fn check_opset(path: &Path, opsets: &[(&str, i64)]) -> Result<i64> {
    let own = opsets.iter().find(|(domain, _)| is_standard(domain)).map(|&(_, version)| version);
    let Some(version) = own else {
        return Err(Error::weights(path, "it does not say which version of ONNX's operators it uses: export it again"));
    };
    if !OPSETS.contains(&version) {
        let (first, last) = OPSETS.into_inner();
        let path = path.display();
        return Err(Error::Unsupported(format!(
            "{path}: operators of version {version}; {first} to {last} are supported: export it again"
        )));
    }
    Ok(version)
}

fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// Checks that every operator is known: `domains` are those of the nodes.
pub(super) fn check_nodes(path: &Path, nodes: &[Node], domains: &[&str]) -> Result<()> {
    let mut faults = nodes.iter().zip(domains).filter_map(|(node, domain)| Some((node, fault(node, domain)?)));
    let Some((node, first)) = faults.next() else { return Ok(()) };
    let others: Vec<String> = faults.map(|(node, _)| node.to_string()).collect();
    let mut more = String::new();
    if !others.is_empty() {
        let shown = others.iter().take(4).cloned().collect::<Vec<_>>().join(", ");
        let rest = if others.len() > 4 { ", .." } else { "" };
        more = format!("; {} further nodes cannot be computed either: {shown}{rest}", others.len());
    }
    Err(Error::Unsupported(format!("{}: {node}: {first}{more}", path.display())))
}

fn fault(node: &Node, domain: &str) -> Option<String> {
    if !is_standard(domain) {
        return Some(format!(
            "an operator of `{domain}`, not of ONNX itself, which is not supported: export the model without such operators"
        ));
    }
    let Some(operator) = operator(&node.op) else {
        let is_member = |names: &[&str]| names.iter().any(|name| node.op == *name || name.len() > 4 && node.op.starts_with(name));
        let family = FAMILIES.iter().find(|(names, ..)| is_member(names));
        let (what, hint) = family
            .map_or(("its operator is not one that networks for pictures need", "export the model without it"), |&(_, what, hint)| {
                (what, hint)
            });
        return Some(format!("{what}, and not supported: {hint}"));
    };
    if !operator.inputs.contains(&node.inputs.len()) {
        let (least, most) = operator.inputs.clone().into_inner();
        return Some(format!("it has {} inputs; {least} to {most} are supported", node.inputs.len()));
    }
    let strange = node.attributes().find(|attribute| !operator.attributes.contains(attribute));
    strange.map(|attribute| format!("its attribute `{attribute}` is not supported"))
}

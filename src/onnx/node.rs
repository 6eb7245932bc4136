//! A node of a graph.

use std::fmt;

use super::fault::{Fault, wrong};
use super::proto::{AttributeProto, NodeProto};
use super::value::Value;

/// The input of a fused node that is added to its result.
pub(super) const RESIDUAL: usize = 3;
/// The input of a fused node with a number for each channel, with which those below 0 are multiplied.
pub(super) const SLOPE: usize = 4;

/// One operation: which, with which settings, of which values.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name; of a node without one, its number.
    pub name: String,
    /// Its operator, as ONNX calls it.
    pub op: String,
    /// The numbers of the values that it takes; `None` where an optional one is left out.
    pub inputs: Vec<Option<usize>>,
    /// The numbers of the values that it makes; `None` where nobody wants one.
    pub outputs: Vec<Option<usize>>,
    attributes: Vec<(String, Attribute)>,
}

#[derive(Clone, Debug)]
enum Attribute {
    Float(f32),
    Int(i64),
    Text(String),
    Tensor(Value),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    /// None of these: a graph, texts.
    Other,
}

impl Attribute {
    fn of(proto: &AttributeProto) -> Result<Self, String> {
        Ok(match (proto.kind, proto) {
            (_, AttributeProto { is_other: true, .. }) => Self::Other,
            (1, _) => Self::Float(proto.float.unwrap_or_default()),
            (2, _) => Self::Int(proto.int.unwrap_or_default()),
            (3, _) | (0, AttributeProto { text: Some(_), .. }) => {
                Self::Text(String::from_utf8_lossy(proto.text.unwrap_or_default()).into())
            }
            (4 | 0, AttributeProto { tensor: Some(tensor), .. }) => Self::Tensor(super::tensor::inline(tensor)?),
            (6, _) => Self::Floats(proto.floats.clone()),
            (7, _) => Self::Ints(proto.ints.clone()),
            // Old files do not say what an attribute is.
            (0, AttributeProto { float: Some(float), .. }) => Self::Float(*float),
            (0, AttributeProto { int: Some(int), .. }) => Self::Int(*int),
            (0, _) if !proto.floats.is_empty() => Self::Floats(proto.floats.clone()),
            (0, _) => Self::Ints(proto.ints.clone()),
            _ => Self::Other,
        })
    }
}

impl Node {
    /// The node without its values.
    pub(super) fn new(number: usize, proto: &NodeProto) -> Result<Self, String> {
        let name = if proto.name.is_empty() { format!("#{number}") } else { proto.name.into() };
        let attribute = |attribute: &AttributeProto| match Attribute::of(attribute) {
            Ok(content) => Ok((attribute.name.into(), content)),
            Err(what) => Err(format!("node `{name}` ({}): its attribute `{}`: {what}", proto.op, attribute.name)),
        };
        let attributes = proto.attributes.iter().map(attribute).collect::<Result<_, _>>()?;
        Ok(Self { name, op: proto.op.into(), inputs: Vec::new(), outputs: Vec::new(), attributes })
    }

    /// A node in the place of others: it makes what `last`, the last of them, made.
    pub(super) fn instead(last: &Self, op: &str, inputs: &[usize]) -> Self {
        let inputs = inputs.iter().copied().map(Some).collect();
        Self { name: last.name.clone(), op: op.into(), inputs, outputs: last.outputs.clone(), attributes: Vec::new() }
    }

    /// The node with an attribute set.
    pub(super) fn with_ints(mut self, name: &str, ints: Vec<i64>) -> Self {
        self.attributes.retain(|(known, _)| known != name);
        self.attributes.push((name.into(), Attribute::Ints(ints)));
        self
    }

    /// The node with an attribute set.
    pub(super) fn with_int(mut self, name: &str, int: i64) -> Self {
        self.attributes.push((name.into(), Attribute::Int(int)));
        self
    }

    /// The node with an attribute set.
    pub(super) fn with_float(mut self, name: &str, float: f32) -> Self {
        self.attributes.push((name.into(), Attribute::Float(float)));
        self
    }

    /// The node with an attribute set.
    pub(super) fn with_text(mut self, name: &str, text: &str) -> Self {
        self.attributes.push((name.into(), Attribute::Text(text.into())));
        self
    }

    /// The node without an attribute.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.attributes.retain(|(known, _)| known != name);
        self
    }

    /// The number of an input; `None` where there is none.
    pub(super) fn input(&self, number: usize) -> Option<usize> {
        self.inputs.get(number).copied().flatten()
    }

    /// The number of the first output.
    pub(super) fn output(&self) -> Option<usize> {
        self.outputs.first().copied().flatten()
    }

    /// The names of its attributes.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(|(name, _)| name.as_str())
    }

    fn get(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, attribute)| attribute)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Int(int)) => Ok(Some(*int)),
            Some(_) => wrong(format!("its attribute `{name}` is no whole number")),
        }
    }

    pub(super) fn int_or(&self, name: &str, default: i64) -> Result<i64, Fault> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// Whether an attribute that is 0 or 1 is 1.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, Fault> {
        Ok(self.int(name)?.map_or(default, |int| int != 0))
    }

    pub(super) fn float(&self, name: &str) -> Result<Option<f32>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Float(float)) => Ok(Some(*float)),
            Some(_) => wrong(format!("its attribute `{name}` is no number")),
        }
    }

    pub(super) fn float_or(&self, name: &str, default: f32) -> Result<f32, Fault> {
        Ok(self.float(name)?.unwrap_or(default))
    }

    pub(super) fn text_or<'a>(&'a self, name: &str, default: &'a str) -> Result<&'a str, Fault> {
        match self.get(name) {
            None => Ok(default),
            Some(Attribute::Text(text)) => Ok(text),
            Some(_) => wrong(format!("its attribute `{name}` is no text")),
        }
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<&[i64]>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(ints)) => Ok(Some(ints)),
            Some(_) => wrong(format!("its attribute `{name}` is no list of whole numbers")),
        }
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<&[f32]>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Floats(floats)) => Ok(Some(floats)),
            Some(_) => wrong(format!("its attribute `{name}` is no list of numbers")),
        }
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<&Value>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Tensor(value)) => Ok(Some(value)),
            Some(_) => wrong(format!("its attribute `{name}` is no tensor")),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "node `{}` ({})", self.name, self.op)
    }
}

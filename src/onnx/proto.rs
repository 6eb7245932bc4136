//! The messages of an ONNX file, as far as they are needed, and bounded.

use super::wire::{Field, Fields};

const MAX_NODES: usize = 1 << 16;
const MAX_TENSORS: usize = 1 << 17;
const MAX_NAME: usize = 1 << 12;
const MAX_RANK: usize = 8;
const MAX_PORTS: usize = 1 << 12;
const MAX_ATTRIBUTES: usize = 64;

#[derive(Default)]
pub(super) struct Model<'a> {
    /// Domains with their versions.
    pub(super) opsets: Vec<(&'a str, i64)>,
    pub(super) graph: Option<GraphProto<'a>>,
}

#[derive(Default)]
pub(super) struct GraphProto<'a> {
    pub(super) nodes: Vec<NodeProto<'a>>,
    pub(super) initializers: Vec<TensorProto<'a>>,
    pub(super) inputs: Vec<ValueInfo<'a>>,
    pub(super) outputs: Vec<ValueInfo<'a>>,
    pub(super) has_sparse: bool,
}

/// A node; an input or output without a name is left out.
#[derive(Default)]
pub(super) struct NodeProto<'a> {
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) name: &'a str,
    pub(super) op: &'a str,
    pub(super) domain: &'a str,
    pub(super) attributes: Vec<AttributeProto<'a>>,
}

#[derive(Default)]
pub(super) struct AttributeProto<'a> {
    pub(super) name: &'a str,
    pub(super) float: Option<f32>,
    pub(super) int: Option<i64>,
    pub(super) text: Option<&'a [u8]>,
    pub(super) tensor: Option<TensorProto<'a>>,
    pub(super) floats: Vec<f32>,
    pub(super) ints: Vec<i64>,
    /// A graph, a list of texts and whatever else has no place in a network.
    pub(super) is_other: bool,
    /// What the file says that it is: the only way to tell an empty list.
    pub(super) kind: i64,
}

/// A tensor; its elements are in one of many places.
#[derive(Clone, Default)]
pub(super) struct TensorProto<'a> {
    pub(super) name: &'a str,
    pub(super) dims: Vec<i64>,
    pub(super) element: i64,
    pub(super) raw: Option<&'a [u8]>,
    pub(super) floats: Vec<f32>,
    /// Those of `int32_data`, `int64_data` and `uint64_data`.
    pub(super) ints: Vec<i64>,
    /// Keys and values that say where the elements are, where they are in another file.
    pub(super) external: Vec<(&'a str, &'a str)>,
    pub(super) is_external: bool,
}

/// An input or output of the graph.
#[derive(Default)]
pub(super) struct ValueInfo<'a> {
    pub(super) name: &'a str,
    /// Its element type, where it is a tensor.
    pub(super) element: Option<i64>,
    pub(super) shape: Option<Vec<Dim<'a>>>,
}

/// An extent of an input.
#[derive(Clone, Copy)]
pub(super) enum Dim<'a> {
    Fixed(i64),
    Free(&'a str),
}

impl<'a> Model<'a> {
    pub(super) fn read(message: &'a [u8]) -> Result<Self, String> {
        let mut model = Self::default();
        for field in Fields::new(message) {
            match field? {
                (7, _) if model.graph.is_some() => return Err("it has two graphs".into()),
                (7, field) => model.graph = Some(GraphProto::read(field.bytes()?)?),
                (8, field) => push(&mut model.opsets, opset(field.bytes()?)?, MAX_PORTS, "operator sets")?,
                _ => {}
            }
        }
        Ok(model)
    }
}

fn opset(message: &[u8]) -> Result<(&str, i64), String> {
    let mut opset = ("", 0);
    for field in Fields::new(message) {
        match field? {
            (1, field) => opset.0 = name(field)?,
            (2, field) => opset.1 = field.int()?,
            _ => {}
        }
    }
    Ok(opset)
}

impl<'a> GraphProto<'a> {
    fn read(message: &'a [u8]) -> Result<Self, String> {
        let mut graph = Self::default();
        for field in Fields::new(message) {
            match field? {
                (1, field) => {
                    let number = graph.nodes.len();
                    let node = NodeProto::read(field.bytes()?).map_err(|what| format!("node {number}: {what}"))?;
                    push(&mut graph.nodes, node, MAX_NODES, "nodes")?;
                }
                (5, field) => {
                    let number = graph.initializers.len();
                    let tensor = TensorProto::read(field.bytes()?).map_err(|what| format!("initializer {number}: {what}"))?;
                    push(&mut graph.initializers, tensor, MAX_TENSORS, "initializers")?;
                }
                (11, field) => push(&mut graph.inputs, ValueInfo::read(field.bytes()?)?, MAX_TENSORS, "inputs")?,
                (12, field) => push(&mut graph.outputs, ValueInfo::read(field.bytes()?)?, MAX_PORTS, "outputs")?,
                (15, _) => graph.has_sparse = true,
                _ => {}
            }
        }
        Ok(graph)
    }
}

impl<'a> NodeProto<'a> {
    fn read(message: &'a [u8]) -> Result<Self, String> {
        let mut node = Self::default();
        for field in Fields::new(message) {
            match field? {
                (1, field) => push(&mut node.inputs, name(field)?, MAX_PORTS, "inputs")?,
                (2, field) => push(&mut node.outputs, name(field)?, MAX_PORTS, "outputs")?,
                (3, field) => node.name = name(field)?,
                (4, field) => node.op = name(field)?,
                (5, field) => push(&mut node.attributes, AttributeProto::read(field.bytes()?)?, MAX_ATTRIBUTES, "attributes")?,
                (7, field) => node.domain = name(field)?,
                _ => {}
            }
        }
        Ok(node)
    }
}

impl<'a> AttributeProto<'a> {
    fn read(message: &'a [u8]) -> Result<Self, String> {
        let mut attribute = Self::default();
        for field in Fields::new(message) {
            match field? {
                (1, field) => attribute.name = name(field)?,
                (2, field) => attribute.float = Some(field.float()?),
                (3, field) => attribute.int = Some(field.int()?),
                (4, field) => attribute.text = Some(field.bytes()?),
                (5, field) => attribute.tensor = Some(TensorProto::read(field.bytes()?)?),
                (7, field) => field.push_floats(&mut attribute.floats)?,
                (8, field) => field.push_ints(&mut attribute.ints)?,
                (20, field) => attribute.kind = field.int()?,
                (6 | 9..=11 | 14 | 15 | 21..=23, _) => attribute.is_other = true,
                _ => {}
            }
        }
        Ok(attribute)
    }
}

impl<'a> TensorProto<'a> {
    pub(super) fn read(message: &'a [u8]) -> Result<Self, String> {
        let mut tensor = Self::default();
        for field in Fields::new(message) {
            match field? {
                (1, field) => field.push_ints(&mut tensor.dims)?,
                (2, field) => tensor.element = field.int()?,
                (4, field) => field.push_floats(&mut tensor.floats)?,
                (5 | 7 | 11, field) => field.push_ints(&mut tensor.ints)?,
                (8, field) => tensor.name = name(field)?,
                (9, field) => tensor.raw = Some(field.bytes()?),
                (10, field) => field.push_doubles(&mut tensor.floats)?,
                (13, field) => push(&mut tensor.external, entry(field.bytes()?)?, MAX_ATTRIBUTES, "places of its elements")?,
                (14, field) => tensor.is_external = field.int()? == 1,
                _ => {}
            }
        }
        if tensor.dims.len() > MAX_RANK {
            return Err(format!("a tensor has {} extents, more than {MAX_RANK}", tensor.dims.len()));
        }
        Ok(tensor)
    }

    /// Its extents and the number of its elements.
    pub(super) fn shape(&self) -> Result<(Vec<usize>, usize), String> {
        let shape = self.dims.iter().map(|&dim| usize::try_from(dim)).collect::<Result<Vec<_>, _>>();
        let shape = shape.map_err(|_| format!("its extents {:?} are not from 0 up", self.dims))?;
        let elements = shape.iter().try_fold(1usize, |elements, &extent| elements.checked_mul(extent.max(1)));
        let elements = elements.filter(|&elements| elements <= isize::MAX as usize / 8);
        elements.ok_or_else(|| format!("its shape {shape:?} is beyond any file"))?;
        let count = shape.iter().product();
        Ok((shape, count))
    }
}

/// A key and a value.
fn entry(message: &[u8]) -> Result<(&str, &str), String> {
    let mut entry = ("", "");
    for field in Fields::new(message) {
        match field? {
            (1, field) => entry.0 = name(field)?,
            (2, field) => entry.1 = name(field)?,
            _ => {}
        }
    }
    Ok(entry)
}

impl<'a> ValueInfo<'a> {
    fn read(message: &'a [u8]) -> Result<Self, String> {
        let mut info = Self::default();
        for field in Fields::new(message) {
            match field? {
                (1, field) => info.name = name(field)?,
                (2, field) => info.read_type(field.bytes()?)?,
                _ => {}
            }
        }
        Ok(info)
    }

    fn read_type(&mut self, message: &'a [u8]) -> Result<(), String> {
        for field in Fields::new(message) {
            let (1, tensor) = field? else { continue };
            for field in Fields::new(tensor.bytes()?) {
                match field? {
                    (1, field) => self.element = Some(field.int()?),
                    (2, field) => self.shape = Some(shape(field.bytes()?)?),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn shape(message: &[u8]) -> Result<Vec<Dim<'_>>, String> {
    let mut dims = Vec::new();
    for field in Fields::new(message) {
        let (1, dim) = field? else { continue };
        let mut extent = Dim::Free("");
        for field in Fields::new(dim.bytes()?) {
            match field? {
                (1, field) => extent = Dim::Fixed(field.int()?),
                (2, field) => extent = Dim::Free(name(field)?),
                _ => {}
            }
        }
        push(&mut dims, extent, MAX_RANK, "extents")?;
    }
    Ok(dims)
}

fn name(field: Field<'_>) -> Result<&str, String> {
    let text = field.text()?;
    if text.len() > MAX_NAME { Err(format!("it has a name of {} bytes", text.len())) } else { Ok(text) }
}

fn push<T>(list: &mut Vec<T>, item: T, most: usize, what: &str) -> Result<(), String> {
    if list.len() == most {
        return Err(format!("it has more than {most} {what}"));
    }
    list.push(item);
    Ok(())
}

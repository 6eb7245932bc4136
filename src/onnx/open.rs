//! Opening files.

use std::path::Path;

use super::draft::Draft;
use super::element::Element;
use super::graph::{Graph, Outline, Port};
use super::infer::infer;
use super::proto::{Dim, Model, ValueInfo};
use super::refuse::{check_nodes, check_opset};
use super::tensor::Files;
use super::value::Kind;
use crate::location::Location;
use crate::{Error, Result};

/// The name that mmdeploy, and the official release with it, gives to its exports.
const USUAL: &str = "end2end.onnx";

/// The most bytes of values that may be alive at a time.
const MAX_MEMORY: u64 = 16 << 30;

/// The most elements of an input.
const MAX_INPUT: usize = 1 << 28;

impl Graph {
    /// Opens an ONNX file, or a folder that has one, for inputs of these shapes by name. Inputs that are not named have the shapes of the file; a batch
    /// whose size is free there is of one.
    ///
    /// Large tensors, also those in files beside it, are mapped, and read when they are needed; the files must not be changed meanwhile.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is no ONNX file, damaged, or contradicts itself, or where a file that belongs to it is missing or not in its folder;
    /// [`Error::Unsupported`] for operators that are not supported, by node, and free extents; [`Error::Input`] for shapes that do not fit the
    /// file's; [`Error::Limits`] for more than can be computed; [`Error::Io`] where it cannot be read.
    pub fn open(location: impl Into<Location>, shapes: &[(&str, &[usize])]) -> Result<Self> {
        let location = file(location.into())?;
        let path = location.path();
        let content = location.open()?.loaded().map_err(Error::io(path))?;
        let model = Model::read(content.whole().unwrap_or_default()).map_err(|what| not_onnx(path, &what))?;
        let opset = check_opset_of(path, &model)?;
        let proto = model.graph.as_ref().ok_or_else(|| not_onnx(path, "it has no graph"))?;
        let mut draft = Draft::new(path, proto, &mut Files::new(&location, &content))?;
        draft.prune();
        check_nodes(path, &draft.nodes, &draft.domains)?;
        let inputs = inputs(path, &draft, shapes)?;
        let mut outlines = vec![None; draft.values()];
        for port in &inputs {
            outlines[port.value] = port.shape.clone().map(|shape| Outline { shape, kind: port.kind });
        }
        infer(path, opset, &mut draft, &mut outlines)?;
        draft.prune();
        let output = |&(info, value): &(&ValueInfo, usize)| {
            let outline: Option<&Outline> = outlines[value].as_ref();
            let declared = info.element.and_then(|element| Element::new(element).ok()).map_or(Kind::F32, Element::kind);
            let kind = outline.map_or(declared, |outline| outline.kind);
            Port { name: info.name.into(), shape: outline.map(|outline| outline.shape.clone()), kind, value }
        };
        let outputs = draft.outputs.iter().map(output).collect();
        let Draft { nodes, constants, .. } = draft;
        let graph = Self { path: path.into(), opset, inputs, outputs, nodes, constants, outlines };
        match graph.host_memory() {
            bytes if bytes > MAX_MEMORY => Err(Error::limits(format!(
                "{}: its values take {} GiB at a time: give it smaller inputs",
                graph.path.display(),
                bytes >> 30
            ))),
            _ => Ok(graph),
        }
    }
}

/// An input as a file declares it: its name, and its extents, `None` for those that are free; no extents where it gives none.
pub type Declared = (String, Option<Vec<Option<usize>>>);

impl Graph {
    /// The inputs of a file.
    ///
    /// # Errors
    /// As [`open`](Self::open), for what is no ONNX file.
    pub fn declared_inputs(location: impl Into<Location>) -> Result<Vec<Declared>> {
        let location = file(location.into())?;
        let path = location.path();
        let content = location.open()?.loaded().map_err(Error::io(path))?;
        let model = Model::read(content.whole().unwrap_or_default()).map_err(|what| not_onnx(path, &what))?;
        let proto = model.graph.as_ref().ok_or_else(|| not_onnx(path, "it has no graph"))?;
        let draft = Draft::new(path, proto, &mut Files::new(&location, &content))?;
        let extent = |dim: &Dim| match *dim {
            Dim::Fixed(fixed) => usize::try_from(fixed).ok(),
            Dim::Free(_) => None,
        };
        let input = |(info, _): &(&ValueInfo, usize)| (info.name.into(), info.shape.as_ref().map(|dims| dims.iter().map(extent).collect()));
        Ok(draft.inputs.iter().map(input).collect())
    }
}

fn check_opset_of(path: &Path, model: &Model) -> Result<i64> {
    match (&model.graph, &model.opsets[..]) {
        (None, []) => Err(not_onnx(path, "it has no graph")),
        (_, opsets) => check_opset(path, opsets),
    }
}

fn not_onnx(path: &Path, what: &str) -> Error {
    Error::weights(path, format!("no ONNX model, or cut short: {what}; download or export it again"))
}

/// The file to open: the one given, or the one in a folder.
fn file(location: Location) -> Result<Location> {
    if !location.is_folder()? {
        return Ok(location);
    }
    let names = location.names()?;
    let found: Vec<_> = names.iter().filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "onnx")).collect();
    match &found[..] {
        _ if names.iter().any(|name| name == USUAL) => Ok(location.join(USUAL)),
        [only] => Ok(location.join(only)),
        others => Err(Error::weights(location.path(), format!("{} files of the folder end in .onnx: name the one to open", others.len()))),
    }
}

/// The inputs with the shapes that are given, or that the file has.
fn inputs(path: &Path, draft: &Draft, shapes: &[(&str, &[usize])]) -> Result<Vec<Port>> {
    if let Some((name, _)) = shapes.iter().find(|(name, _)| !draft.inputs.iter().any(|(info, _)| info.name == *name)) {
        let known: Vec<_> = draft.inputs.iter().map(|(info, _)| info.name).collect();
        return Err(Error::Input(format!("{}: it has no input `{name}`, but {}", path.display(), known.join(", "))));
    }
    let port = |&(info, value): &(&ValueInfo, usize)| {
        let given = shapes.iter().find(|(name, _)| *name == info.name).map(|&(_, shape)| shape);
        let element = info.element.map_or_else(|| Err("no tensor".into()), Element::new).map_err(|what| {
            Error::Unsupported(format!("{}: its input `{}` is {what}: export the model in f32 or f16", path.display(), info.name))
        })?;
        let shape = shape(path, info, given)?;
        if shape.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent.max(1))).is_none_or(|count| count > MAX_INPUT) {
            return Err(Error::limits(format!(
                "{}: its input `{}` has the shape {shape:?}, which is too large",
                path.display(),
                info.name
            )));
        }
        Ok(Port { name: info.name.into(), shape: Some(shape), kind: element.kind(), value })
    };
    draft.inputs.iter().map(port).collect()
}

fn shape(path: &Path, info: &ValueInfo, given: Option<&[usize]>) -> Result<Vec<usize>> {
    let dims = match (&info.shape, given) {
        (Some(dims), _) => dims,
        (None, Some(given)) => return Ok(given.to_vec()),
        (None, None) => {
            return Err(Error::Unsupported(format!("{}: its input `{}` may have any shape: give it one", path.display(), info.name)));
        }
    };
    if let Some(given) = given {
        let fits = |(&given, dim): (&usize, &Dim)| !matches!(dim, Dim::Fixed(fixed) if usize::try_from(*fixed) != Ok(given));
        if given.len() != dims.len() || !given.iter().zip(dims).all(fits) {
            let message = format!("its input `{}` cannot have the shape {given:?}: in the file it has {}", info.name, describe(dims));
            return Err(Error::Input(format!("{}: {message}", path.display())));
        }
        return Ok(given.to_vec());
    }
    let extent = |(axis, dim): (usize, &Dim)| match *dim {
        Dim::Fixed(fixed) if fixed >= 0 => Ok(fixed as usize),
        Dim::Fixed(fixed) => Err(Error::weights(path, format!("its input `{}` has an extent of {fixed}", info.name))),
        Dim::Free(_) if axis == 0 => Ok(1),
        Dim::Free(name) => {
            let message =
                format!("its input `{}` of shape {} has the free extent {axis} `{name}`: give it a shape", info.name, describe(dims));
            Err(Error::Unsupported(format!("{}: {message}", path.display())))
        }
    };
    dims.iter().enumerate().map(extent).collect()
}

fn describe(dims: &[Dim]) -> String {
    let dims: Vec<_> = dims
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(fixed) => fixed.to_string(),
            Dim::Free("") => "?".into(),
            Dim::Free(name) => (*name).into(),
        })
        .collect();
    format!("[{}]", dims.join(", "))
}

//! The tensors of a file: within it, or in files beside it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::element::Element;
use super::proto::TensorProto;
use super::value::{Data, Kind, Value};
use crate::content::Content;
use crate::location::Location;
use crate::{Error, Result};

/// A constant of a graph.
#[derive(Clone)]
pub(super) enum Constant {
    /// Its elements are at hand.
    Known(Arc<Value>),
    /// Its elements lie in a file, and are read each time they are needed.
    Mapped(Mapped),
}

/// A tensor in a file.
#[derive(Clone)]
pub(super) struct Mapped {
    content: Content,
    range: Range<usize>,
    element: Element,
    shape: Vec<usize>,
}

/// The most elements of tensors that are read when the file is opened: shapes and settings of nodes are told from them.
const MAX_READ: usize = 1 << 12;

impl Mapped {
    fn value(&self) -> Value {
        Value::new(&self.shape, self.element.decode(&whole(&self.content)[self.range.clone()]))
    }
}

impl From<Mapped> for Constant {
    fn from(mapped: Mapped) -> Self {
        match mapped.shape.iter().product::<usize>() {
            0..=MAX_READ => Self::Known(mapped.value().into()),
            _ => Self::Mapped(mapped),
        }
    }
}

impl Constant {
    pub(super) fn shape(&self) -> &[usize] {
        match self {
            Self::Known(value) => value.shape(),
            Self::Mapped(mapped) => &mapped.shape,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Known(value) => value.data().kind(),
            Self::Mapped(mapped) => mapped.element.kind(),
        }
    }

    /// Reads its elements, so that they are at hand.
    pub(super) fn keep(&mut self) {
        *self = Self::Known(self.value());
    }

    /// The tensor with its elements.
    pub(super) fn value(&self) -> Arc<Value> {
        match self {
            Self::Known(value) => value.clone(),
            Self::Mapped(mapped) => mapped.value().into(),
        }
    }
}

/// A tensor whose elements are in the message itself.
pub(super) fn inline(proto: &TensorProto) -> Result<Value, String> {
    if proto.is_external {
        return Err("its elements are in another file".into());
    }
    let element = Element::new(proto.element).map_err(|what| format!("it has {what}, which are not supported"))?;
    let (shape, count) = proto.shape()?;
    let data = match proto.raw {
        Some(raw) => {
            check_bytes(raw.len(), count, element)?;
            element.decode(raw)
        }
        None if element.kind() == Kind::F32 && proto.ints.is_empty() => Data::F32(proto.floats.clone()),
        None => element.of_ints(proto.ints.clone()),
    };
    if data.len() != count {
        return Err(format!("its shape {shape:?} has {count} elements, the file {}", data.len()));
    }
    Ok(Value::new(&shape, data))
}

/// A tensor that was saved alone, as ONNX's own test data are.
///
/// # Errors
/// [`Error::Input`] where it is none, or of a type that is not supported.
pub fn read_tensor(message: &[u8]) -> Result<Value> {
    TensorProto::read(message).and_then(|proto| inline(&proto)).map_err(|what| Error::Input(format!("an ONNX tensor: {what}")))
}

fn check_bytes(found: usize, count: usize, element: Element) -> Result<(), String> {
    let needed = count.saturating_mul(element.bytes());
    if found == needed { Ok(()) } else { Err(format!("its {count} elements take {needed} bytes, the file has {found}")) }
}

/// Where the tensors of an ONNX file are: in the file itself and in those beside it.
pub(super) struct Files<'a> {
    location: &'a Location,
    path: &'a Path,
    content: &'a Content,
    others: BTreeMap<PathBuf, Content>,
}

impl<'a> Files<'a> {
    /// With a content that is loaded.
    pub(super) fn new(location: &'a Location, content: &'a Content) -> Self {
        Self { location, path: location.path(), content, others: BTreeMap::new() }
    }

    /// A tensor of the file.
    pub(super) fn constant(&mut self, proto: &TensorProto) -> Result<Constant> {
        let fail = |message: String| Error::tensor(self.path, proto.name, message);
        if proto.is_external {
            return self.external(proto).map(Constant::from);
        }
        let Some(raw) = proto.raw else {
            return inline(proto).map(|value| Constant::Known(value.into())).map_err(fail);
        };
        let (element, shape) = self.head(proto, |count, element| check_bytes(raw.len(), count, element))?;
        let begin = raw.as_ptr().addr() - whole(self.content).as_ptr().addr();
        Ok(Mapped { content: self.content.clone(), range: begin..begin + raw.len(), element, shape }.into())
    }

    /// Element type and extents, where the number of elements passes a check.
    fn head(&self, proto: &TensorProto, check: impl Fn(usize, Element) -> Result<(), String>) -> Result<(Element, Vec<usize>)> {
        let element = Element::new(proto.element).map_err(|what| {
            let name = proto.name;
            Error::Unsupported(format!("{}: tensor `{name}` has {what}; export the model in f32 or f16", self.path.display()))
        })?;
        let head = proto.shape().and_then(|(shape, count)| check(count, element).map(|()| (element, shape)));
        head.map_err(|message| Error::tensor(self.path, proto.name, message))
    }

    fn external(&mut self, proto: &TensorProto) -> Result<Mapped> {
        let fail = |message: String| Error::tensor(self.path, proto.name, message);
        let get = |key: &str| proto.external.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
        let number = |key: &str| match get(key).map(|text| (text, text.parse::<usize>())) {
            None => Ok(None),
            Some((_, Ok(number))) => Ok(Some(number)),
            Some((text, Err(_))) => Err(fail(format!("its {key} in another file, `{text}`, is no whole number"))),
        };
        let location = get("location").ok_or_else(|| fail("its elements are in another file, which it does not name".into()))?;
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let path = self.beside(location).map_err(fail)?;
        let content = self.open(&path, proto.name)?;
        let end = length.map_or(Some(content.len()), |length| offset.checked_add(length));
        let range = end.filter(|&end| offset <= end && end <= content.len()).map(|end| offset..end);
        let range = range.ok_or_else(|| {
            let message = format!("cut short: bytes from {offset} on of {} belong to it, which has {}", path.display(), content.len());
            Error::tensor(self.path, proto.name, message)
        })?;
        let (element, shape) = self.head(proto, |count, element| check_bytes(range.len(), count, element))?;
        Ok(Mapped { content, range, element, shape })
    }

    /// The path of a file in the folder of this one, or in one below it.
    fn beside(&self, location: &str) -> Result<PathBuf, String> {
        let parts = Path::new(location).components().filter(|part| *part != Component::CurDir);
        let relative = parts.map(|part| matches!(part, Component::Normal(_)).then_some(part)).collect::<Option<PathBuf>>();
        let relative = relative.filter(|relative| !relative.as_os_str().is_empty());
        let folder = self.path.parent().unwrap_or(Path::new(""));
        relative.map(|relative| folder.join(relative)).ok_or_else(|| {
            format!("its elements are in `{location}`, which is not in the model's folder; it is not read: put it there and export again")
        })
    }

    fn open(&mut self, path: &Path, tensor: &str) -> Result<Content> {
        if let Some(content) = self.others.get(path) {
            return Ok(content.clone());
        }
        let location = self.location.at(path.into());
        if !location.is_file() {
            let message = format!("missing, but the tensor `{tensor}` of {} is in it; put it beside that file", self.path.display());
            return Err(Error::weights(path, message));
        }
        let content = location.open()?.loaded().map_err(Error::io(path))?;
        self.others.insert(path.into(), content.clone());
        Ok(content)
    }
}

/// The bytes of a file that is loaded.
fn whole(content: &Content) -> &[u8] {
    content.whole().unwrap_or_default()
}

//! What `torch.save` writes: a zip archive of a pickle, which says which tensors there are, and of their storages. Nothing is executed.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use super::pickle::{Object, Pickle, Value};
use super::{encoding::Encoding, entry::Entry, entry::elements, zip::Archive};
use crate::content::Content;
use crate::dtype::DType;
use crate::error::{Error, Result};

/// More than the pickle of any model; what is read of it takes some 30 times as much memory at worst.
const MAX_PICKLE: usize = 16 << 20;

/// More tensors than any model has, and longer names: neither may fill the memory.
const MAX_TENSORS: usize = 1 << 17;
const MAX_NAME: usize = 512;

/// torch has more, checkpoints do not.
const MAX_RANK: usize = 8;

/// Under one of these keys training scripts put the weights of the whole model.
const WRAPPERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "module"];

/// Bytes before any pickle of the format that torch wrote before version 1.6.
pub(super) const LEGACY: [u8; 14] = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Reads the tensors of an archive. Touches nothing but its directory and its pickle.
pub(super) fn read(path: &Path, content: &Content) -> Result<Vec<Entry>> {
    let archive = Archive::read(path, content)?;
    let member = |name: &str| content.bytes(archive.range(name)?).map_err(Error::io(path));
    let folder = archive.names().find_map(|name| name.strip_suffix("/data.pkl"));
    let folder = folder.ok_or_else(|| Error::weights(path, "a zip archive, but not one that torch wrote: it has no data.pkl"))?;
    let byte_order = format!("{folder}/byteorder");
    if archive.names().any(|name| name == byte_order) && *member(&byte_order)? != *b"little" {
        return Err(Error::Unsupported(format!(
            "{}: written on a machine with another byte order; save it again on one that is little-endian",
            path.display()
        )));
    }
    let pickle = format!("{folder}/data.pkl");
    let length = archive.range(&pickle)?.len();
    if length > MAX_PICKLE {
        return Err(Error::weights(path, format!("its pickle has {length} bytes: more than a list of tensors takes")));
    }
    let pickle = member(&pickle)?;
    let refuse = |why: String| Error::weights(path, format!("its pickle is refused: {why}"));
    let pickle = Pickle::read(&pickle, is_known).map_err(refuse)?;
    let mut reader = Reader { path, archive: &archive, folder, pickle: &pickle, entries: Vec::new(), visited: HashSet::new() };
    reader.root()?;
    Ok(reader.entries)
}

fn is_known(module: &str, name: &str) -> bool {
    match module {
        "collections" => name == "OrderedDict",
        "torch._utils" => matches!(name, "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3" | "_rebuild_parameter"),
        "torch.storage" => name == "UntypedStorage",
        "torch" => matches!(name, "Size" | "UntypedStorage") || storage_encoding(name).is_some() || dtype_encoding(name).is_some(),
        _ => false,
    }
}

fn storage_encoding(name: &str) -> Option<Encoding> {
    Some(match name {
        "FloatStorage" => DType::F32.into(),
        "HalfStorage" => DType::F16.into(),
        "BFloat16Storage" => DType::Bf16.into(),
        "DoubleStorage" => Encoding::F64,
        "LongStorage" => Encoding::I64,
        "IntStorage" => Encoding::I32,
        "ShortStorage" => Encoding::I16,
        "CharStorage" => Encoding::I8,
        "ByteStorage" => Encoding::U8,
        "BoolStorage" => Encoding::Bool,
        _ => return None,
    })
}

/// Types without a storage class of their own, and those that checkpoints mention besides their tensors.
fn dtype_encoding(name: &str) -> Option<Encoding> {
    Some(match name {
        "float8_e4m3fn" => Encoding::F8E4M3,
        "float8_e5m2" => Encoding::F8E5M2,
        "float32" => DType::F32.into(),
        "float16" => DType::F16.into(),
        "bfloat16" => DType::Bf16.into(),
        "float64" => Encoding::F64,
        "int64" => Encoding::I64,
        "int8" => Encoding::I8,
        "uint8" => Encoding::U8,
        _ => return None,
    })
}

struct Reader<'a> {
    path: &'a Path,
    archive: &'a Archive<'a>,
    folder: &'a str,
    pickle: &'a Pickle<'a>,
    entries: Vec<Entry>,
    /// Dictionaries gone through: none may come again, least of all within itself.
    visited: HashSet<usize>,
}

impl<'a> Reader<'a> {
    fn root(&mut self) -> Result<()> {
        let root = self.pickle.root();
        let Some(Object::Dict(items)) = self.pickle.object(root) else {
            return Err(Error::weights(self.path, "its pickle holds no dictionary of tensors: save the model's state_dict"));
        };
        self.visit(root)?;
        for &(key, value) in items {
            match key {
                Value::Text(name) if WRAPPERS.contains(&name) && self.is_dict(value) => self.walk(String::new(), value)?,
                Value::Text(name) => self.walk(name.into(), value)?,
                _ => {}
            }
        }
        if self.entries.is_empty() {
            return Err(Error::weights(self.path, "its pickle holds no tensors"));
        }
        Ok(())
    }

    fn is_dict(&self, value: Value<'a>) -> bool {
        matches!(self.pickle.object(value), Some(Object::Dict(_)))
    }

    /// Collects the tensors of a value that has this name. What lies in a dictionary is called `name.key`.
    fn walk(&mut self, name: String, value: Value<'a>) -> Result<()> {
        let mut waiting = vec![(name, value)];
        while let Some((name, value)) = waiting.pop() {
            match self.pickle.object(value) {
                Some(Object::Call(..)) => self.add(name, value)?,
                Some(Object::Dict(items)) => {
                    self.visit(value)?;
                    let dot = if name.is_empty() { "" } else { "." };
                    for &(key, value) in items.iter().rev() {
                        if let (Value::Text(key), Value::Object(_)) = (key, value) {
                            let name = format!("{name}{dot}{key}");
                            self.check_room(&name, waiting.len())?;
                            waiting.push((name, value));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn visit(&mut self, dict: Value<'a>) -> Result<()> {
        match dict {
            Value::Object(index) if self.visited.insert(index) => Ok(()),
            _ => Err(self.refuse("a dictionary occurs in it twice or within itself")),
        }
    }

    fn check_room(&self, name: &str, waiting: usize) -> Result<()> {
        if name.len() > MAX_NAME || waiting + self.entries.len() >= MAX_TENSORS {
            return Err(self.refuse("it has more tensors, or longer names, than any model"));
        }
        Ok(())
    }

    fn refuse(&self, why: &str) -> Error {
        Error::weights(self.path, format!("its pickle is refused: {why}"))
    }

    fn add(&mut self, name: String, value: Value<'a>) -> Result<()> {
        self.check_room(&name, 0)?;
        let fail = |message: String| Error::tensor(self.path, &name, message);
        let Some(tensor) = self.tensor(value).map_err(fail)? else {
            return Ok(());
        };
        let storage = self.archive.range(&format!("{}/data/{}", self.folder, tensor.key))?;
        let (range, strides) = tensor.locate(storage).map_err(fail)?;
        self.entries.push(Entry { name, encoding: tensor.encoding, shape: tensor.shape, range, strides });
        Ok(())
    }

    /// The tensor that a call rebuilds; `None` where it makes something else.
    fn tensor(&self, value: Value<'a>) -> Result<Option<Tensor<'a>>, String> {
        let Some(&Object::Call(Value::Global(_, function), arguments)) = self.pickle.object(value) else {
            return Err("it is no tensor".into());
        };
        let arguments = self.pickle.sequence(arguments).ok_or("its arguments are no tuple")?;
        match (function, arguments) {
            ("_rebuild_parameter", &[inner, ..]) if inner != value => match self.pickle.object(inner) {
                Some(Object::Call(Value::Global(_, function), _)) if *function != "_rebuild_parameter" => self.tensor(inner),
                _ => Err("a parameter without a tensor".into()),
            },
            ("_rebuild_tensor_v3", &[storage, offset, shape, stride, _, _, Value::Global("torch", dtype), ..]) => {
                let encoding = dtype_encoding(dtype).ok_or_else(|| format!("data type {dtype} is not supported"))?;
                self.view(storage, offset, shape, stride, Some(encoding)).map(Some)
            }
            ("_rebuild_tensor" | "_rebuild_tensor_v2", &[storage, offset, shape, stride, ..]) => {
                self.view(storage, offset, shape, stride, None).map(Some)
            }
            ("Size", _) => Ok(None),
            _ => Err(format!("{function} has too few arguments")),
        }
    }

    fn view(
        &self,
        storage: Value<'a>,
        offset: Value<'a>,
        shape: Value<'a>,
        strides: Value<'a>,
        encoding: Option<Encoding>,
    ) -> Result<Tensor<'a>, String> {
        let Some(&Object::Persistent(id)) = self.pickle.object(storage) else {
            return Err("it has no storage".into());
        };
        let Some(&[Value::Text("storage"), Value::Global(_, class), Value::Text(key), _, _]) = self.pickle.sequence(id) else {
            return Err("its storage is of an unknown kind".into());
        };
        let encoding = encoding.or_else(|| storage_encoding(class)).ok_or_else(|| format!("{class} is not supported"))?;
        let (shape, strides) = (self.integers(shape)?, self.integers(strides)?);
        if shape.len() != strides.len() || shape.len() > MAX_RANK {
            return Err(format!("it has {} extents and {} strides", shape.len(), strides.len()));
        }
        Ok(Tensor { encoding, key, offset: integer(offset)?, shape, strides })
    }

    fn integers(&self, value: Value<'a>) -> Result<Vec<usize>, String> {
        // `torch.Size` wraps its tuple.
        let value = match self.pickle.object(value) {
            Some(&Object::Call(Value::Global(_, "Size"), arguments)) => match self.pickle.sequence(arguments) {
                Some(&[inner]) => inner,
                _ => value,
            },
            _ => value,
        };
        let items = self.pickle.sequence(value).ok_or("its extents are no tuple")?;
        items.iter().take(MAX_RANK + 1).map(|&item| integer(item)).collect()
    }
}

fn integer(value: Value) -> Result<usize, String> {
    match value {
        Value::Int(value) => usize::try_from(value).map_err(|_| format!("it has a negative extent, stride or offset, {value}")),
        _ => Err("an extent, stride or offset is no integer".into()),
    }
}

struct Tensor<'a> {
    encoding: Encoding,
    key: &'a str,
    /// Elements from the storage's start.
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Tensor<'_> {
    /// Its bytes in the file, and its strides where it does not fill them.
    fn locate(&self, storage: Range<usize>) -> Result<(Range<usize>, Option<Vec<usize>>), String> {
        let overflow = || format!("shape {:?} with strides {:?} is beyond any storage", self.shape, self.strides);
        let shape: Vec<u64> = self.shape.iter().map(|&dim| dim as u64).collect();
        let elements = elements(&shape).ok_or_else(overflow)?;
        let last = self
            .shape
            .iter()
            .zip(&self.strides)
            .try_fold(0usize, |sum, (&dim, &stride)| sum.checked_add(dim.saturating_sub(1).checked_mul(stride)?));
        let span = if elements == 0 { 0 } else { last.and_then(|last| last.checked_add(1)).ok_or_else(overflow)? };
        if elements > span as u64 {
            return Err("it repeats elements of its storage: save a contiguous copy".into());
        }
        let bytes = |count: usize| self.encoding.bytes(count as u64).and_then(|bytes| usize::try_from(bytes).ok());
        let (Some(begin), Some(size)) = (bytes(self.offset), bytes(span)) else {
            return Err(overflow());
        };
        let end = begin.checked_add(size).filter(|&end| end <= storage.len());
        let end = end.ok_or_else(|| format!("it needs {size} bytes from {begin} on, its storage has {}", storage.len()))?;
        let strides = (!self.is_dense()).then(|| self.strides.clone());
        Ok((storage.start + begin..storage.start + end, strides))
    }

    fn is_dense(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&dim, &stride)| {
            let dense = dim == 1 || stride == expected;
            expected *= dim;
            dense
        })
    }
}

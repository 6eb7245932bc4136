//! A checkpoint's tensors saved in another form, a run of rows at a time: memory does not grow with what is saved.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use serde_json::json;

use super::{
    blocks::BlockFormat, checkpoint::Weights, decode::decode, encode::e4m3_scale, encode::encode, encoding::Encoding, gguf_header,
    names::Table, safetensors::Outline, safetensors::header, storage::Storage, stored::Stored, view::position,
};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::partial_file::sync_parent;

/// Called with the number of bytes that were written since the last call; what it returns ends the conversion.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(u64) -> Result<()>;

/// A checkpoint with what each of its tensors becomes.
pub(crate) struct Converted<'a> {
    tensors: Vec<Target<'a>>,
}

impl<'a> Converted<'a> {
    /// All tensors of a checkpoint, under the names of a table or else those here, but for those that count as used already: its model makes no use
    /// of them. Some are the matrices that quantised forms are for.
    pub(crate) fn new(weights: &'a Weights, storage: Storage, table: Option<&Table>, is_matrix: impl Fn(&str) -> bool) -> Self {
        let needed = weights.tensors.iter().filter(|(_, tensor)| !tensor.is_used()).map(|(name, tensor)| (name, &tensor.stored));
        let there = |name: &str| table.and_then(|table| table.to_origin(name)).map(|origin| origin.name);
        let target = |(name, tensor): (&'a String, &'a Stored)| Target {
            name: there(name).unwrap_or_else(|| name.clone()),
            tensor,
            encoding: storage.encoding(tensor, is_matrix(name)),
        };
        Self { tensors: needed.map(target).collect() }
    }

    /// Whether there is anything that the quantised form asked for applies to.
    pub(crate) fn is_quantized(&self) -> bool {
        self.tensors.iter().any(|target| matches!(target.encoding, Encoding::F8E4M3 | Encoding::Block(_)))
    }

    /// Bytes of all tensors.
    pub(crate) fn bytes(&self) -> Result<u64> {
        self.tensors.iter().map(Target::bytes).sum()
    }

    /// Writes the files into a folder, named by `stem`: one, or shards of at most so many bytes (or of one tensor) with their index. Each is on the
    /// disk when this returns.
    pub(crate) fn write_safetensors(&self, folder: &Path, stem: &str, shard_size: u64, watch: Watch) -> Result<()> {
        let shards = self.shards(shard_size)?;
        let mut weight_map = serde_json::Map::new();
        for (i, shard) in shards.iter().enumerate() {
            let name = match shards.len() {
                1 => format!("{stem}.safetensors"),
                count => format!("{stem}-{:05}-of-{count:05}.safetensors", i + 1),
            };
            let (shard, outlines) = (&self.tensors[shard.clone()], outlines(&self.tensors[shard.clone()]));
            write_file(&folder.join(&name), &header(&outlines)?, shard, 1, watch)?;
            weight_map.extend(outlines.into_iter().map(|outline| (outline.name, json!(name))));
        }
        if shards.len() == 1 {
            return Ok(());
        }
        let path = folder.join(format!("{stem}.safetensors.index.json"));
        let index = json!({"metadata": {"total_size": self.bytes()?}, "weight_map": weight_map});
        Output::create(&path, watch)?.finish(format!("{index:#}\n").as_bytes())
    }

    /// Writes one GGUF file of an architecture, likewise.
    pub(crate) fn write_gguf(&self, folder: &Path, stem: &str, architecture: &str, watch: Watch) -> Result<()> {
        let header = gguf_header::header(architecture, &outlines(&self.tensors))?;
        write_file(&folder.join(format!("{stem}.gguf")), &header, &self.tensors, gguf_header::ALIGNMENT, watch)
    }

    /// Runs of tensors, none larger than a shard but those of one tensor.
    fn shards(&self, shard_size: u64) -> Result<Vec<Range<usize>>> {
        let (mut shards, mut begin, mut size) = (Vec::new(), 0, 0);
        for (i, target) in self.tensors.iter().enumerate() {
            let bytes = target.bytes()?;
            if size + bytes > shard_size && i > begin {
                shards.push(begin..i);
                (begin, size) = (i, 0);
            }
            size += bytes;
        }
        shards.push(begin..self.tensors.len());
        Ok(shards)
    }
}

fn outlines(tensors: &[Target]) -> Vec<Outline> {
    tensors.iter().flat_map(Target::outlines).collect()
}

fn write_file(path: &Path, header: &[u8], tensors: &[Target], alignment: u64, watch: Watch) -> Result<()> {
    let mut output = Output::create(path, watch)?;
    output.put(header)?;
    for target in tensors {
        target.write(&mut output)?;
        let bytes = target.bytes()?;
        output.put(&vec![0; (bytes.next_multiple_of(alignment) - bytes) as usize])?;
    }
    output.finish(&[])
}

/// A file on its way.
struct Output<'a> {
    path: &'a Path,
    file: BufWriter<File>,
    watch: Watch<'a>,
}

impl<'a> Output<'a> {
    fn create(path: &'a Path, watch: Watch<'a>) -> Result<Self> {
        let file = File::create_new(path).map_err(Error::io(path))?;
        Ok(Self { path, file: BufWriter::new(file), watch })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(Error::io(self.path))?;
        (self.watch)(bytes.len() as u64)
    }

    /// Writes the last bytes, and waits until all are on the disk.
    fn finish(mut self, bytes: &[u8]) -> Result<()> {
        self.put(bytes)?;
        self.file.flush().and_then(|()| self.file.get_ref().sync_all()).map_err(Error::io(self.path))?;
        sync_parent(self.path)
    }
}

/// A tensor and what it becomes.
struct Target<'a> {
    name: String,
    tensor: &'a Stored,
    encoding: Encoding,
}

impl Target<'_> {
    /// Itself, and the scale of eight-bit floats.
    fn outlines(&self) -> Vec<Outline> {
        let outline = |name: String, encoding, shape| Outline { name, encoding, shape };
        let mut all = vec![outline(self.name.clone(), self.encoding, self.tensor.info.shape.clone())];
        if self.encoding == Encoding::F8E4M3 {
            all.push(outline(format!("{}_scale", self.name), DType::F32.into(), vec![]));
        }
        all
    }

    fn bytes(&self) -> Result<u64> {
        self.outlines().iter().map(Outline::bytes).sum()
    }

    fn write(&self, output: &mut Output) -> Result<()> {
        let scale = if self.encoding == Encoding::F8E4M3 { Some(e4m3_scale(self.largest()?)) } else { None };
        for (first, run) in self.tensor.runs() {
            match Storage::is_kept(self.tensor.info.encoding) {
                true => output.put(&run.dense_bytes()?)?,
                false => output.put(&self.encoded(first, &run, scale)?)?,
            }
            run.release();
        }
        scale.map_or(Ok(()), |scale| output.put(&scale.to_le_bytes()))
    }

    /// The largest magnitude.
    fn largest(&self) -> Result<f32> {
        self.tensor.runs().try_fold(0f32, |largest, (first, run)| {
            let found = self.largest_of(first, &run.to_f32()?)?;
            run.release();
            Ok(largest.max(found))
        })
    }

    fn largest_of(&self, first: usize, values: &[f32]) -> Result<f32> {
        // NaN and infinity have larger bits than any number.
        let largest = f32::from_bits(values.iter().fold(0, |most, value| value.abs().to_bits().max(most)));
        if largest.is_finite() {
            return Ok(largest);
        }
        let what = "is NaN or infinite: the checkpoint is damaged or was saved wrongly";
        Err(self.error(first, values, |value| !value.is_finite(), what))
    }

    /// A run's numbers in their new form, divided by the scale where there is one.
    fn encoded(&self, first: usize, run: &Stored, scale: Option<f32>) -> Result<Vec<u8>> {
        let mut values = run.to_f32()?;
        let largest = self.largest_of(first, &values)?;
        if let Some(scale) = scale {
            values.iter_mut().for_each(|value| *value /= scale);
        } else if !self.holds(largest) {
            let message = format!("is {largest:e} in magnitude, which {} cannot hold; choose bf16 or f32", self.encoding);
            return Err(self.error(first, &values, |value| value.abs() == largest, &message));
        }
        Ok(encode(self.encoding, &values))
    }

    /// Whether a number is not infinite in the new form.
    fn holds(&self, value: f32) -> bool {
        let width = self.encoding.block().map_or(1, BlockFormat::elements);
        decode(self.encoding, &encode(self.encoding, &vec![value; width])).iter().all(|value| value.is_finite())
    }

    /// Of the first number that is wrong.
    fn error(&self, first: usize, values: &[f32], is_wrong: impl Fn(&f32) -> bool, what: &str) -> Error {
        let index = values.iter().position(is_wrong).unwrap_or(0);
        let place = position(first + index, &self.tensor.info.shape);
        Error::tensor(&self.tensor.info.file, &self.name, format!("element {place:?} {what}"))
    }
}

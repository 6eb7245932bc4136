//! The published models' tensors by name and shape, and checkpoint files of full size that hold them without data: sparse, they take no room.

#![allow(dead_code)] // each test file uses its own part of this

use std::fs::File;
use std::io::Write;
use std::path::Path;

/// A tensor to be: its name, what safetensors calls its type, its extents.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    pub name: String,
    pub dtype: &'static str,
    pub shape: Vec<usize>,
}

/// The tensors of `tests/goldens/published/NAME.json`.
pub fn tensors(golden: &str, dtype: &'static str) -> Vec<Named> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/goldens/published/{golden}.json"));
    let lines: Vec<(String, Vec<usize>)> = serde_json::from_slice(&std::fs::read(path).expect(golden)).expect(golden);
    lines
        .into_iter()
        .flat_map(|(pattern, shape)| expand(&pattern).into_iter().map(move |name| Named { name, dtype, shape: shape.clone() }))
        .collect()
}

/// `{40}` stands for the numbers 0 to 39.
fn expand(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.into()] };
    let (count, after) = rest.split_once('}').expect("a closing brace");
    (0..count.parse::<usize>().expect("a number")).map(|i| format!("{before}{i}{after}")).collect()
}

/// Bytes of a block of 32 numbers: a factor in f16, then 4 bits each.
const Q4_0_BYTES: usize = 18;

impl Named {
    fn elements(&self) -> u64 {
        self.shape.iter().map(|&dim| dim as u64).product()
    }

    fn bytes(&self) -> u64 {
        let width = match self.dtype {
            "F32" => 4,
            "F16" | "BF16" => 2,
            "I64" => 8,
            "Q4_0" => return self.elements() / 32 * Q4_0_BYTES as u64,
            _ => 1,
        };
        self.elements() * width
    }

    /// ggml's number for its type, the elements of a block and its bytes, for [`write_gguf`].
    pub fn ggml(&self) -> (u32, u64, u64) {
        match self.dtype {
            "F32" => (0, 1, 4),
            "BF16" => (30, 1, 2),
            "Q4_0" => (2, 32, Q4_0_BYTES as u64),
            other => panic!("{other} is not written to GGUF"),
        }
    }
}

/// Puts data in a file that one of the functions below wrote, where it said that each tensor's begins.
pub fn fill(path: &Path, places: &[u64], data: &[Vec<u8>]) {
    let mut file = File::options().write(true).open(path).expect("opens");
    places.iter().zip(data).for_each(|(&place, bytes)| write_at(&mut file, place, &[bytes]));
}

/// What the tensors of a file hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// Zeros, which take no room.
    None,
    /// Small random numbers, the same ones again and again: in all of a small tensor, in a piece of every 4 MiB of a large one.
    Sparse,
    /// Everywhere.
    Dense,
}

/// Bytes of the random numbers: no multiple of a row's or a chunk's, so that hardly two places look the same.
const PERIOD: usize = (1 << 20) + 4 * 617;
/// Whole numbers of every type, [`Q4_0_BYTES`] too.
const PIECE: u64 = 9 << 13;
const STRIDE: u64 = 64 * PIECE;

impl Data {
    /// Fills the tensors of a file, which begin at these places.
    pub fn write(self, path: &Path, tensors: &[Named], places: &[u64]) {
        if self == Self::None {
            return;
        }
        let mut file = File::options().write(true).open(path).expect("opens");
        for (tensor, &place) in tensors.iter().zip(places) {
            let (bytes, pattern) = (tensor.bytes(), small_numbers(tensor.dtype));
            let stride = if self == Self::Sparse && bytes > STRIDE { STRIDE } else { PIECE };
            for from in (0..bytes).step_by(stride as usize) {
                let phase = (place + from) as usize % (PERIOD - PIECE as usize) / 36 * 36;
                let piece = &pattern[phase..][..PIECE.min(bytes - from) as usize];
                write_at(&mut file, place + from, &[piece]);
            }
        }
    }
}

/// Numbers of either sign, none above 1/32.
fn small_numbers(dtype: &str) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bits = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    if dtype == "Q4_0" {
        let factor = half::f16::from_f32(1.0 / 256.0).to_le_bytes();
        let codes = |bits: &mut dyn FnMut() -> u32| (0..4).flat_map(|_| bits().to_le_bytes()).collect::<Vec<_>>();
        return (0..PERIOD / Q4_0_BYTES).flat_map(|_| [&factor[..], &codes(&mut bits)].concat()).collect();
    }
    let width = if dtype == "F32" { 4 } else { 2 };
    let number = |_| (0x3c00_0000 | bits() & 0x80ff_ffff).to_le_bytes();
    (0..PERIOD / width).map(number).flat_map(|bytes| bytes[4 - width..].to_vec()).collect()
}

/// Writes a safetensors file with these tensors.
pub fn write_safetensors(path: &Path, tensors: &[Named]) -> Vec<u64> {
    let (mut entries, mut end, mut begins) = (Vec::new(), 0, Vec::new());
    for tensor in tensors {
        let (begin, Named { name, dtype, shape }) = (end, tensor);
        end += tensor.bytes();
        begins.push(begin);
        entries.push(format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{begin},{end}]}}"#));
    }
    let header = format!("{{{}}}", entries.join(","));
    let data = 8 + header.len() as u64;
    sparse(path, &[&(header.len() as u64).to_le_bytes(), header.as_bytes()], data + end);
    begins.into_iter().map(|begin: u64| data + begin).collect()
}

/// Writes a folder with an index and as many shards.
pub fn write_shards(folder: &Path, tensors: &[Named], shards: usize) {
    let mut map = Vec::new();
    for (i, part) in tensors.chunks(tensors.len().div_ceil(shards)).enumerate() {
        let file = format!("diffusion_pytorch_model-{:05}-of-{shards:05}.safetensors", i + 1);
        write_safetensors(&folder.join(&file), part);
        map.extend(part.iter().map(|tensor| format!(r#""{}":"{file}""#, tensor.name)));
    }
    let index = format!(r#"{{"metadata":{{}},"weight_map":{{{}}}}}"#, map.join(","));
    std::fs::write(folder.join("diffusion_pytorch_model.safetensors.index.json"), index).expect("writes");
}

/// A vocabulary as GGUF files have it: five facts, for [`write_gguf`].
pub fn vocabulary(pieces: &[(String, f32, i32)], charsmap: &[u8]) -> Vec<Vec<u8>> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let array = |key: &str, kind: u32, count: usize, body: Vec<u8>| {
        [text(key), 9u32.to_le_bytes().into(), kind.to_le_bytes().into(), (count as u64).to_le_bytes().into(), body].concat()
    };
    let count = pieces.len();
    vec![
        [text("tokenizer.ggml.model"), 8u32.to_le_bytes().into(), text("t5")].concat(),
        array("tokenizer.ggml.tokens", 8, count, pieces.iter().flat_map(|piece| text(&piece.0)).collect()),
        array("tokenizer.ggml.scores", 6, count, pieces.iter().flat_map(|piece| piece.1.to_le_bytes()).collect()),
        array("tokenizer.ggml.token_type", 5, count, pieces.iter().flat_map(|piece| piece.2.to_le_bytes()).collect()),
        array("tokenizer.ggml.precompiled_charsmap", 0, charsmap.len(), charsmap.into()),
    ]
}

/// Writes a GGUF file with these tensors; of a tensor, `kind` gives ggml's number for its type, the elements of a block and its bytes.
pub fn write_gguf(path: &Path, tensors: &[Named], kind: fn(&Named) -> (u32, u64, u64)) -> Vec<u64> {
    write_gguf_with(path, tensors, kind, &[])
}

/// The same with further facts.
pub fn write_gguf_with(path: &Path, tensors: &[Named], kind: fn(&Named) -> (u32, u64, u64), facts: &[Vec<u8>]) -> Vec<u64> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut header = [&b"GGUF\x03\0\0\0"[..], &(tensors.len() as u64).to_le_bytes(), &(1 + facts.len() as u64).to_le_bytes()].concat();
    header.extend([text("general.architecture"), 8u32.to_le_bytes().into(), text("wan")].concat());
    header.extend(facts.concat());
    let (mut end, mut begins) = (0u64, Vec::new());
    for tensor in tensors {
        let (kind, elements, bytes) = kind(tensor);
        begins.push(end);
        header.extend(text(&tensor.name));
        header.extend((tensor.shape.len() as u32).to_le_bytes());
        tensor.shape.iter().rev().for_each(|&dim| header.extend((dim as u64).to_le_bytes()));
        header.extend(kind.to_le_bytes());
        header.extend(end.to_le_bytes());
        end = (end + tensor.elements() / elements * bytes).next_multiple_of(32);
    }
    let data = (header.len() as u64).next_multiple_of(32);
    sparse(path, &[&header], data + end);
    begins.into_iter().map(|begin| data + begin).collect()
}

/// Writes what `torch.save` would for a dictionary of these tensors, within `state_dict` where it is to be wrapped.
pub fn write_torch(path: &Path, tensors: &[Named], wrapped: bool) -> Vec<u64> {
    write_torch_in(path, tensors, wrapped.then_some("state_dict"))
}

/// The same within a dictionary under any name: with the ZIP64 records that torch writes for everything.
pub fn write_torch_in(path: &Path, tensors: &[Named], wrapper: Option<&str>) -> Vec<u64> {
    let pickle = pickle(tensors, wrapper);
    let mut file = File::create(path).expect("creates");
    let (mut directory, mut end, mut count) = (Vec::new(), 0u64, 0u64);
    let mut member = |name: &str, body: &[u8], size: u64| {
        let wide: Vec<u8> = [&1u16.to_le_bytes()[..], &16u16.to_le_bytes(), &size.to_le_bytes(), &size.to_le_bytes()].concat();
        let local = [
            b"PK\x03\x04\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
            &(name.len() as u16).to_le_bytes()[..],
            &20u16.to_le_bytes(),
            name.as_bytes(),
            &wide,
        ];
        let local = local.concat();
        let extra = [&1u16.to_le_bytes()[..], &24u16.to_le_bytes(), &size.to_le_bytes(), &size.to_le_bytes(), &end.to_le_bytes()].concat();
        directory.extend(b"PK\x01\x02\x2d\0\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend(28u16.to_le_bytes());
        directory.extend([0; 10]);
        directory.extend(u32::MAX.to_le_bytes());
        directory.extend(name.as_bytes());
        directory.extend(extra);
        write_at(&mut file, end, &[&local, body]);
        let begin = end + local.len() as u64;
        end = begin + size;
        count += 1;
        begin
    };
    member("archive/data.pkl", &pickle, pickle.len() as u64);
    let begins = tensors.iter().enumerate().map(|(i, tensor)| member(&format!("archive/data/{i}"), &[], tensor.bytes())).collect();
    let size = directory.len() as u64;
    let record = [
        b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0",
        &count.to_le_bytes()[..],
        &count.to_le_bytes(),
        &size.to_le_bytes(),
        &end.to_le_bytes(),
    ]
    .concat();
    let locator = [b"PK\x06\x07\0\0\0\0", &(end + size).to_le_bytes()[..], &1u32.to_le_bytes()].concat();
    let last = b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0";
    write_at(&mut file, end, &[&directory, &record, &locator, last]);
    begins
}

fn pickle(tensors: &[Named], wrapper: Option<&str>) -> Vec<u8> {
    let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let long = |number: usize| [b"\x8a\x08", &(number as u64).to_le_bytes()[..]].concat();
    let mut pickle = b"\x80\x02".to_vec();
    if let Some(wrapper) = wrapper {
        pickle.extend([b"}", &text("epoch")[..], b"K\x03s", &text(wrapper)].concat());
    }
    pickle.extend(b"ccollections\nOrderedDict\n)R(");
    for (i, tensor) in tensors.iter().enumerate() {
        let storage = match tensor.dtype {
            "F32" => "FloatStorage",
            "F16" => "HalfStorage",
            "I64" => "LongStorage",
            _ => "BFloat16Storage",
        };
        pickle.extend(
            [&text(&tensor.name)[..], b"ctorch._utils\n_rebuild_tensor_v2\n((", &text("storage"), b"ctorch\n", storage.as_bytes(), b"\n"]
                .concat(),
        );
        pickle.extend([&text(&i.to_string())[..], &text("cpu"), &long(tensor.elements() as usize), b"tQK\x00("].concat());
        tensor.shape.iter().for_each(|&dim| pickle.extend(long(dim)));
        pickle.extend(b"t(");
        (1..=tensor.shape.len()).for_each(|axis| pickle.extend(long(tensor.shape[axis..].iter().product())));
        pickle.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
    }
    pickle.extend(if wrapper.is_some() { &b"us."[..] } else { b"u." });
    pickle
}

fn write_at(file: &mut File, offset: u64, parts: &[&[u8]]) {
    use std::io::{Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset)).expect("seeks");
    file.write_all(&parts.concat()).expect("writes");
}

fn sparse(path: &Path, parts: &[&[u8]], length: u64) {
    let mut file = File::create(path).expect("creates");
    file.write_all(&parts.concat()).expect("writes");
    file.set_len(length).expect("a sparse file");
}

//! Checkpoints in every format but the crate's own: what torch, ggml and others stored is read exactly, what is hostile is refused.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::processor_time;
use wan_animate::Error;
use wan_animate::unversioned::models;
use wan_animate::unversioned::weights::Weights;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/formats").join(name)
}

/// All tensors of `file` against those of `expected.safetensors` that begin with `prefix`.
fn check(file: &str, prefix: &str, tolerance: f32) {
    let (found, expected) = (models::open(golden(file)).expect(file), Weights::open(golden("expected.safetensors")).expect("goldens"));
    let names: BTreeSet<&str> = expected.iter().filter_map(|(name, _)| name.strip_prefix(prefix)).collect();
    assert_eq!(found.iter().map(|(name, _)| name).filter(|name| !name.starts_with("ema.")).collect::<BTreeSet<_>>(), names);
    for name in names {
        let golden = format!("{prefix}{name}");
        let shape = expected.info(&golden).expect("listed").shape.clone();
        let (found, expected) = (found.to_f32(name, &shape).expect(name), expected.to_f32(&golden, &shape).expect(name));
        let scale = expected.iter().fold(0f32, |max, x| max.max(x.abs()));
        for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
            assert!((a - b).abs() <= tolerance * scale, "{file}: {name}[{i}]: expected {b}, found {a}");
        }
    }
}

/// Conversions to f32 of all these types are exact, but for doubles, which both sides round.
#[test]
fn torch_archives_are_read_exactly() {
    check("tensors.pth", "torch.", 0.0);
    check("protocol4.pt", "torch.", 0.0);
    check("module.pth", "module.", 0.0);
    check("wrapped.ckpt", "module.", 0.0);
}

/// Both sides multiply in f32, in another order: two roundings of 2^-24, relative to the largest value.
#[test]
fn ggml_blocks_are_expanded() {
    check("blocks.gguf", "gguf.", 1.2e-7);
}

#[test]
fn eight_bit_floats_are_read_exactly() {
    check("float8.safetensors", "float8.", 0.0);
}

/// f32 against f64: eight additions and a product, each rounded by 2^-24, relative to the largest value.
#[test]
fn rotated_integers_are_turned_back() {
    check("convrot.safetensors", "convrot.", 6e-7);
}

#[test]
fn layers_may_be_described_in_the_metadata() {
    check("described.safetensors", "described.", 0.0);
}

/// Versions 2 and 3 of GGUF are laid out alike.
#[test]
fn version_2_of_gguf_is_read_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("old.gguf");
    let mut bytes = std::fs::read(golden("blocks.gguf")).expect("there");
    assert_eq!(bytes[4], 3);
    bytes[4] = 2;
    std::fs::write(&path, bytes).expect("writes");
    let (old, new) = (Weights::open(&path).expect("opens"), Weights::open(golden("blocks.gguf")).expect("opens"));
    for (name, info) in new.iter() {
        assert_eq!(old.to_f32(name, &info.shape).expect(name), new.to_f32(name, &info.shape).expect(name), "{name}");
    }
}

/// As diffusers finds `diffusion_pytorch_model.bin` where there is no safetensors file; two candidates are one too many.
#[test]
fn a_folder_may_hold_another_format() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(golden("tensors.pth"), folder.path().join("diffusion_pytorch_model.bin")).expect("copies");
    let (found, original) = (Weights::open(folder.path()).expect("opens"), Weights::open(golden("tensors.pth")).expect("opens"));
    assert!(found.iter().map(|(name, _)| name).eq(original.iter().map(|(name, _)| name)));
    std::fs::copy(golden("blocks.gguf"), folder.path().join("model.gguf")).expect("copies");
    assert!(matches!(Weights::open(folder.path()), Err(Error::Weights { .. })));
}

#[test]
fn formats_are_told_by_content() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["tensors.pth", "blocks.gguf", "float8.safetensors"] {
        let path = folder.path().join("anything.bin");
        std::fs::copy(golden(file), &path).expect("copies");
        let (renamed, original) = (Weights::open(&path).expect("opens"), Weights::open(golden(file)).expect("opens"));
        assert!(renamed.iter().map(|(name, _)| name).eq(original.iter().map(|(name, _)| name)));
    }
}

/// Opens within a second and returns the error.
fn failure(bytes: &[u8]) -> Error {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.pth");
    std::fs::write(&path, bytes).expect("writes");
    let start = processor_time();
    let error = Weights::open(&path).expect_err("must not open");
    assert!(processor_time() - start < Duration::from_secs(1), "{error} took {:?}", processor_time() - start);
    error
}

fn check_failure(what: &str, bytes: &[u8], part: &str) {
    let error = failure(bytes).to_string();
    assert!(error.contains("bad.pth") && error.contains(part), "{what}: {error}");
}

/// Every way to cut a file short, and every way to spoil one byte of its header, ends in an error or in tensors; nothing panics.
#[test]
fn no_damage_leads_astray() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("damaged");
    let mut opened = 0;
    for (file, step) in [("module.pth", 5), ("tensors.pth", 29), ("blocks.gguf", 53), ("float8.safetensors", 3)] {
        let whole = std::fs::read(golden(file)).expect(file);
        let ends = (0..whole.len()).step_by(step * 3);
        let spoilt = (0..whole.len()).step_by(step).flat_map(|at| [(at, 0xff), (at, 0x01), (at, 0x80)]);
        let cut = ends.map(|end| whole[..end].to_vec());
        let spoilt = spoilt.map(|(at, mask)| {
            let mut bytes = whole.clone();
            bytes[at] ^= mask;
            bytes
        });
        for bytes in cut.chain(spoilt) {
            std::fs::write(&path, bytes).expect("writes");
            let Ok(weights) = Weights::open(&path) else { continue };
            opened += 1;
            for (name, info) in weights.iter() {
                let _ = weights.to_f32(name, &info.shape);
            }
        }
    }
    assert!(opened > 150, "only {opened} damaged files opened: the damage never reached the data");
}

mod torch {
    use super::*;

    /// A zip archive with one stored member for each pair.
    fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for (name, body) in members {
            let (size, length, offset) = (body.len() as u32, name.len() as u16, bytes.len() as u32);
            let common = |out: &mut Vec<u8>| {
                out.extend([20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                out.extend(size.to_le_bytes());
                out.extend(size.to_le_bytes());
                out.extend(length.to_le_bytes());
                out.extend([0, 0]);
            };
            directory.extend(b"PK\x01\x02\x14\x00");
            common(&mut directory);
            directory.extend([0; 10]);
            directory.extend(offset.to_le_bytes());
            directory.extend(name.bytes());
            bytes.extend(b"PK\x03\x04");
            common(&mut bytes);
            bytes.extend(name.bytes());
            bytes.extend(*body);
        }
        let (begin, count) = (bytes.len() as u32, members.len() as u16);
        bytes.extend(&directory);
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        bytes.extend([count, count].iter().flat_map(|count| count.to_le_bytes()));
        bytes.extend((directory.len() as u32).to_le_bytes());
        bytes.extend(begin.to_le_bytes());
        bytes.extend([0, 0]);
        bytes
    }

    fn archive(pickle: &[u8]) -> Vec<u8> {
        zip(&[("x/data.pkl", pickle), ("x/data/0", &[0; 32])])
    }

    /// A tensor of f32 with this view of a storage of eight; offset, shape and stride are pickled.
    fn tensor(offset: &[u8], shape: &[u8], strides: &[u8]) -> Vec<u8> {
        let storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x08tQ";
        let parts: [&[u8]; 7] =
            [b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n(", storage, offset, shape, strides, b"\x89NtRs", b"."];
        archive(&parts.concat())
    }

    #[test]
    fn archives_made_by_hand_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("good.pth");
        std::fs::write(&path, tensor(b"K\x01", b"K\x02K\x03\x86", b"K\x03K\x01\x86")).expect("writes");
        assert_eq!(Weights::open(&path).expect("opens").to_f32("a", &[2, 3]).expect("reads"), [0.0; 6]);
    }

    #[test]
    fn hostile_pickles_are_refused() {
        let deep = [&b"\x80\x02"[..], &b"}X\x01\x00\x00\x00k".repeat(100_000), b"}", &b"s".repeat(100_000), b"."].concat();
        let nested: Vec<u8> = [&b"\x80\x02"[..], &b"(".repeat(1_000_000), b"."].concat();
        let laughs = [&b"\x80\x02]q\x00"[..], &b"]q\x01(h\x00h\x00h\x00h\x00e0h\x01q\x00".repeat(10_000), b"."].concat();
        let many =
            [&b"\x80\x02}X\x01\x00\x00\x00k}(X\x01\x00\x00\x00k]q\x00"[..], &b"X\x01\x00\x00\x00kh\x00".repeat(200_000), b"us."].concat();
        let cases: [(&str, &[u8], &str); 22] = [
            ("runs a command", b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", "`os.system`"),
            ("runs a command, later protocol", b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R.", "`posix.system`"),
            ("evaluates", b"\x80\x02cbuiltins\neval\n.", "`builtins.eval`"),
            ("known name of another module", b"\x80\x02cos\nOrderedDict\n.", "`os.OrderedDict`"),
            ("old instance opcode", b"\x80\x02(ios\nsystem\n.", "0x69"),
            ("a dictionary within itself", b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.", "within itself"),
            ("a cycle over two", b"\x80\x02}q\x00X\x01\x00\x00\x00a}X\x01\x00\x00\x00bh\x00ss.", "within itself"),
            ("a list within itself", b"\x80\x02}X\x01\x00\x00\x00a]q\x00h\x00as.", "no tensors"),
            ("deep nesting", &deep, "longer names"),
            ("marks without end", &nested, "stack is empty"),
            ("lists of lists of lists", &laughs, "no dictionary"),
            ("too many tensors", &many, "more tensors"),
            ("cut short", b"\x80\x02}X\xff\xff\xff\x7fa", "cut short"),
            ("no end", b"\x80\x02}", "cut short"),
            ("nothing on the stack", b"\x80\x02.", "stack is empty"),
            ("never remembered", b"\x80\x02h\x05.", "never remembered"),
            ("no mark", b"\x80\x02u.", "no mark"),
            ("text that is no text", b"\x80\x02X\x01\x00\x00\x00\xff.", "UTF-8"),
            ("elements of a number", b"\x80\x02K\x01K\x01a.", "has none"),
            ("calls a number", b"\x80\x02K\x01)R.", "no function"),
            ("a huge integer", b"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", "64 bits"),
            ("an empty dictionary", b"\x80\x02}.", "no tensors"),
        ];
        for (what, pickle, part) in cases {
            check_failure(what, &archive(pickle), part);
        }
    }

    #[test]
    fn views_beyond_their_storage_are_refused() {
        let huge = b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f";
        let pair = |a: &[u8], b: &[u8]| [a, b, b"\x86"].concat();
        type Case<'a> = (&'a str, &'a [u8], &'a [u8], &'a [u8], &'a str);
        let cases: [Case; 8] = [
            ("too long", b"K\x00", b"K\x09\x85", b"K\x01\x85", "its storage has 32"),
            ("too late", b"K\x08", b"K\x01\x85", b"K\x01\x85", "its storage has 32"),
            ("steps beyond", b"K\x00", b"K\x02\x85", b"K\x08\x85", "its storage has 32"),
            ("negative", b"K\x00", b"J\xff\xff\xff\xff\x85", b"K\x01\x85", "negative"),
            ("overflows", b"K\x00", &pair(huge, huge), b"K\x01K\x01\x86", "beyond any storage"),
            ("offset overflows", huge, b"K\x01\x85", b"K\x01\x85", "beyond any storage"),
            ("repeats one element without end", b"K\x00", &[&huge[..], b"\x85"].concat(), b"K\x00\x85", "repeats"),
            ("no strides", b"K\x00", b"K\x01\x85", b")", "1 extents and 0 strides"),
        ];
        for (what, offset, shape, strides, part) in cases {
            check_failure(what, &tensor(offset, shape, strides), part);
        }
    }

    #[test]
    fn damaged_archives_are_refused() {
        let good = tensor(b"K\x00", b"K\x01\x85", b"K\x01\x85");
        let spoil = |from: &[u8], to: &[u8]| {
            let at = good.windows(from.len()).rposition(|window| window == from).expect("there");
            [&good[..at], to, &good[at + from.len()..]].concat()
        };
        check_failure("cut short", &good[..good.len() - 1], "cut short");
        check_failure("no local header", &spoil(b"PK\x01\x02", b"PK\x01\x03"), "member 1");
        check_failure(
            "compressed",
            &spoil(b"PK\x01\x02\x14\x00\x14\x00\x00\x00\x00", b"PK\x01\x02\x14\x00\x14\x00\x00\x00\x08"),
            "compressed",
        );
        check_failure("no pickle", &zip(&[("x/y", b"")]), "no data.pkl");
        check_failure("no storage", &zip(&[("x/data.pkl", &pickle_of(&good))]), "no member x/data/0");
        let large = vec![0; 17 << 20];
        check_failure("a huge pickle", &zip(&[("x/data.pkl", &large)]), "17825792 bytes");
        let other = zip(&[("x/data.pkl", b"\x80\x02}."), ("x/byteorder", b"big")]);
        assert!(matches!(failure(&other), Error::Unsupported(message) if message.contains("byte order")));
        let legacy = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.";
        assert!(matches!(failure(legacy), Error::Unsupported(message) if message.contains("1.6")));
    }

    fn pickle_of(archive: &[u8]) -> Vec<u8> {
        let begin = archive.windows(2).position(|window| window == b"\x80\x02").expect("there");
        let end = begin + archive[begin..].windows(3).position(|window| window == b"Rs.").expect("there");
        archive[begin..end + 3].to_vec()
    }
}

mod gguf {
    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
    }

    fn file(version: u32, tensors: u64, facts: u64, body: &[&[u8]]) -> Vec<u8> {
        let mut bytes = [&b"GGUF"[..], &version.to_le_bytes(), &tensors.to_le_bytes(), &facts.to_le_bytes(), &body.concat()].concat();
        bytes.resize(bytes.len().next_multiple_of(32) + 64, 0);
        bytes
    }

    fn info(name: &str, shape: &[u64], kind: u32, offset: u64) -> Vec<u8> {
        let shape_bytes: Vec<u8> = shape.iter().flat_map(|dim| dim.to_le_bytes()).collect();
        [text(name), (shape.len() as u32).to_le_bytes().to_vec(), shape_bytes, kind.to_le_bytes().to_vec(), offset.to_le_bytes().to_vec()]
            .concat()
    }

    #[test]
    fn hostile_headers_are_refused() {
        let array = |count: u64, kind: u32| {
            [text("k"), 9u32.to_le_bytes().to_vec(), kind.to_le_bytes().to_vec(), count.to_le_bytes().to_vec()].concat()
        };
        let nested: Vec<u8> = [9u32.to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec()].concat().repeat(1000);
        let shape_fact = [array(2, 4), 7u32.to_le_bytes().to_vec(), 1u32.to_le_bytes().to_vec()].concat();
        let shape_fact = [text("comfy.gguf.orig_shape.a"), shape_fact[9..].to_vec()].concat();
        let alignment = |value: u32| [text("general.alignment"), 4u32.to_le_bytes().to_vec(), value.to_le_bytes().to_vec()].concat();
        let cases: [(&str, Vec<u8>, &str); 15] = [
            ("2^60 tensors", file(3, 1 << 60, 0, &[]), "cut short"),
            ("2^60 facts", file(3, 0, 1 << 60, &[]), "cut short"),
            ("a name of 2^60 bytes", file(3, 1, 0, &[&(1u64 << 60).to_le_bytes()]), "cut short"),
            ("an array of 2^60 bytes", file(3, 0, 1, &[&array(1 << 60, 0)]), "cut short"),
            ("an array whose size overflows", file(3, 0, 1, &[&array(u64::MAX, 12)]), "cut short"),
            ("an array of 2^60 texts", file(3, 0, 1, &[&array(1 << 60, 8)]), "cut short"),
            ("arrays within arrays", file(3, 0, 1, &[&text("k"), &9u32.to_le_bytes(), &nested]), "cut short"),
            ("an unknown kind of fact", file(3, 0, 1, &[&text("k"), &99u32.to_le_bytes()]), "cut short"),
            ("an alignment of 3", file(3, 0, 1, &[&alignment(3)]), "alignment of 3"),
            ("an alignment of 0", file(3, 0, 1, &[&alignment(0)]), "alignment of 0"),
            ("an unknown type", file(3, 1, 0, &[&info("a", &[4], 16, 0)]), "`a`: it is stored as IQ2_XXS"),
            ("no whole blocks", file(3, 1, 0, &[&info("a", &[33], 8, 0)]), "rows of 33"),
            ("beyond the end", file(3, 1, 0, &[&info("a", &[32], 0, 0)]), "`a`: cut short"),
            ("a shape that overflows", file(3, 1, 0, &[&info("a", &[1 << 40, 1 << 40], 0, 0)]), "beyond any file"),
            ("nine extents", file(3, 1, 0, &[&info("a", &[1; 9], 0, 0)]), "cut short"),
        ];
        for (what, bytes, part) in cases {
            check_failure(what, &bytes, part);
        }
        check_failure("an offset that overflows", &file(3, 1, 0, &[&info("a", &[1], 0, u64::MAX)]), "beyond any file");
        check_failure("overlap", &file(3, 2, 0, &[&info("a", &[4], 0, 0), &info("b", &[4], 0, 8)]), "`b`: its bytes overlap those of `a`");
        check_failure("the same name twice", &file(3, 2, 0, &[&info("a", &[4], 0, 0), &info("a", &[4], 0, 32)]), "twice");
        check_failure("another original shape", &file(3, 1, 1, &[&shape_fact, &info("a", &[4], 0, 0)]), "original shape [7, 1]");
        for (version, part) in [(1, "version 1"), (4, "version 4"), (3u32.swap_bytes(), "byte order")] {
            assert!(matches!(failure(&file(version, 0, 0, &[])), Error::Unsupported(message) if message.contains(part)));
        }
    }
}

//! Files that are damaged, hostile or not what they seem: each is refused with words of its own, at once and in little memory.
//!
//! `tests/reference/bad.py` writes them.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::processor_time;
use wan_animate::Result;
use wan_animate::unversioned::models;

/// What the error says, beside the file's own name.
const CASES: [(&str, &[&str]); 116] = [
    ("half_of_nothing.pth", &["weights", "`face_adapter.fuser_blocks.0.linear1_kv.weight`: shape [2, 0] cannot be cut into 2"]),
    ("half_of_nothing_far_apart.pth", &["weights", "`face_adapter.fuser_blocks.0.linear1_kv.weight`: shape [2, 0] cannot be cut into 2"]),
    (
        "nothing_overflows.safetensors",
        &["weights", "tensor `a`: shape [0, 1099511627776, 1099511627776] of f32 does not fit the bytes 0 to 0"],
    ),
    (
        "view_of_nothing_overflows.pth",
        &["weights", "tensor `a`: shape [0, 9223372036854775807, 9223372036854775807] with strides [1, 1, 1] is beyond any storage"],
    ),
    ("alignment_of_2_31.gguf", &["weights", "an alignment of 2147483648 bytes is not a power of two up to a mebibyte"]),
    ("alignment_of_3.gguf", &["weights", "an alignment of 3 bytes is not a power of two up to a mebibyte"]),
    ("array_of_2_63_numbers.gguf", &["weights", "the GGUF header is damaged or cut short at the fact `k`; download it again"]),
    ("array_of_2_63_texts.gguf", &["weights", "the GGUF header is damaged or cut short at the fact `k`; download it again"]),
    ("array_of_arrays.gguf", &["weights", "the GGUF header is damaged or cut short at the fact `k`; download it again"]),
    ("awq.safetensors", &["unsupported", "tensor `l.weight` is stored as awq; give a file in fp8, int8, GGUF or 16 bits"]),
    ("bare_pickle.pth", &["weights", "a bare pickle; load it with Python and save it again with torch 1.6 or later"]),
    ("big_endian.gguf", &["unsupported", "GGUF of another byte order; versions 2 and 3 are read"]),
    ("big_endian.pth", &["unsupported", "written on a machine with another byte order; save it again on one that is little-endian"]),
    ("billion_laughs.pth", &["weights", "its pickle holds no dictionary of tensors: save the model's state_dict"]),
    ("bytes_left_over.safetensors", &["weights", "1 bytes follow the last tensor: the file is damaged; download it again"]),
    (
        "bytes_overflow.safetensors",
        &["weights", "tensor `a`: shape [4611686018427387904] of f32 does not fit the bytes 0 to 0 given for it: the header is damaged"],
    ),
    ("compressed.pth", &["weights", "the member x/data.pkl is compressed, which torch does not do: load and save it again with torch"]),
    ("config.safetensors", &["weights", "text, not a checkpoint: it begins with `{`; download it again"]),
    (
        "convrot_of_odd_group.safetensors",
        &["weights", "tensor `l.weight`: rows of 2 numbers rotated (convrot) in groups of 3: no power of four that divides them"],
    ),
    ("cyclic.pth", &["weights", "its pickle is refused: a dictionary occurs in it twice or within itself"]),
    (
        "damaged_description.safetensors",
        &["weights", "tensor `l.comfy_quant`: its description is damaged: EOF while parsing a value at line 1 column 11"],
    ),
    ("data_cut.gguf", &["weights", "tensor `a`: cut short: it ends at byte 192, the file has 128; download it again"]),
    ("data_cut.safetensors", &["weights", "cut short: the header promises 77 bytes, the file has 76; download it again"]),
    ("deep.pth", &["weights", "its pickle is refused: it has more tensors, or longer names, than any model"]),
    (
        "deep_header.safetensors",
        &["weights", "the safetensors header is damaged: invalid type: sequence, expected a string at line 1 column 6; download it again"],
    ),
    ("directory_cut.pth", &["weights", "the zip archive is damaged or cut short: it has no directory; download it again"]),
    ("empty.safetensors", &["weights", "the file is empty; download it again"]),
    (
        "extent_is_text.safetensors",
        &["weights", "the safetensors header is damaged: invalid type: string \"2\", expected u64 at line 1 column 36; download it again"],
    ),
    ("extents_overflow.gguf", &["weights", "tensor `a`: shape [1099511627776, 1099511627776] is beyond any file"]),
    ("facts_2_63.gguf", &["weights", "the GGUF header is damaged or cut short at fact 5 of 9223372036854775808; download it again"]),
    ("four_bytes.safetensors", &["weights", "not a safetensors file: it has only 4 bytes; download it again"]),
    ("gap.safetensors", &["weights", "tensor `b`: its bytes leave a gap before them: the header is damaged"]),
    (
        "header_beyond_the_file.safetensors",
        &["weights", "not a safetensors file, or cut short: it claims a header of 4096 bytes, 61 bytes follow; download it again"],
    ),
    ("header_cut.gguf", &["weights", "the GGUF header is damaged or cut short at the numbers of facts and tensors; download it again"]),
    (
        "header_cut.safetensors",
        &["weights", "not a safetensors file, or cut short: it claims a header of 61 bytes, 22 bytes follow; download it again"],
    ),
    (
        "header_in_utf_16.safetensors",
        &["weights", "the safetensors header is damaged: expected value at line 1 column 1; download it again"],
    ),
    (
        "header_is_a_list.safetensors",
        &[
            "weights",
            "the safetensors header is damaged: invalid type: sequence, expected an object of tensors at line 1 column 0; download it again",
        ],
    ),
    (
        "header_of_2_60_bytes.safetensors",
        &[
            "weights",
            "not a safetensors file, or cut short: it claims a header of 1152921504606846976 bytes, 2 bytes follow; download it again",
        ],
    ),
    (
        "header_with_bom.safetensors",
        &["weights", "the safetensors header is damaged: expected value at line 1 column 1; download it again"],
    ),
    ("index_cut", &["weights", "model.safetensors.index.json", "EOF while parsing a string at line 1 column 64"]),
    (
        "index_is_absolute",
        &["weights", "model.safetensors.index.json", "tensor `a`: `/etc/passwd` is not the name of a file beside the index"],
    ),
    ("index_leads_outside", &["weights", "model.safetensors.index.json", "tensor `a`: `.", "` is not the name of a file beside the index"]),
    ("index_lists_nothing", &["weights", "model.safetensors.index.json", "its weight_map lists no tensors; download it again"]),
    ("index_without_map", &["weights", "model.safetensors.index.json", "missing field `weight_map` at line 1 column 16"]),
    (
        "infinite_bfloat.safetensors",
        &["weights", "tensor `a`: element [1] is NaN or infinite: the checkpoint is damaged or was saved wrongly"],
    ),
    ("legacy.pth", &["unsupported", "written by torch before version 1.6; load and save it again with torch"]),
    ("legacy_tar.pth", &["weights", "a tar archive; if an early torch wrote it, load and save it again with torch 1.6 or later"]),
    ("marks_without_end.pth", &["weights", "its pickle is refused: its stack is empty"]),
    ("member_of_4_gb.pth", &["weights", "the zip archive is damaged or cut short: member 1 of its directory; download it again"]),
    ("memo_bomb.pth", &["weights", "its pickle holds no tensors"]),
    (
        "message.safetensors",
        &[
            "weights",
            "text, not a checkpoint: it begins with `Access to model is restricted. You must be authenticated to `; download it again",
        ],
    ),
    (
        "mxfp4.gguf",
        &["weights", "tensor `a`: it is stored as MXFP4 (ggml type 39); give a file in Q2_K to Q8_0, IQ4_NL, IQ4_XS or 16 bits"],
    ),
    ("mxfp8.safetensors", &["unsupported", "tensor `l.weight` is stored as mxfp8; give a file in fp8, int8, GGUF or 16 bits"]),
    ("name_not_utf_8.gguf", &["weights", "the GGUF header is damaged or cut short at tensor 0 of 1; download it again"]),
    (
        "name_not_utf_8.safetensors",
        &["weights", "the safetensors header is damaged: invalid unicode code point at line 1 column 56; download it again"],
    ),
    ("name_of_2_63_bytes.gguf", &["weights", "the GGUF header is damaged or cut short at tensor 0 of 1; download it again"]),
    ("name_twice.gguf", &["weights", "tensor `a`: it is in this file twice"]),
    ("name_twice.safetensors", &["weights", "tensor `a`: it is in this file twice"]),
    ("nan_double.safetensors", &["weights", "tensor `a`: element [1] is NaN or infinite: the checkpoint is damaged or was saved wrongly"]),
    ("nan_float8.safetensors", &["weights", "tensor `a`: element [1] is NaN or infinite: the checkpoint is damaged or was saved wrongly"]),
    ("nan_half.safetensors", &["weights", "tensor `a`: element [0] is NaN or infinite: the checkpoint is damaged or was saved wrongly"]),
    (
        "negative_extent.safetensors",
        &["weights", "the safetensors header is damaged: invalid value: integer `-2`, expected u64 at line 1 column 35; download it again"],
    ),
    (
        "negative_offset.safetensors",
        &["weights", "the safetensors header is damaged: invalid value: integer `-8`, expected u64 at line 1 column 56; download it again"],
    ),
    ("negative_stride.pth", &["weights", "tensor `a`: it has a negative extent, stride or offset, -1"]),
    ("never_remembered.pth", &["weights", "its pickle is refused: it recalls 5, which it never remembered"]),
    ("no_dictionary.pth", &["weights", "its pickle holds no dictionary of tensors: save the model's state_dict"]),
    ("no_tensors.pth", &["weights", "its pickle holds no tensors"]),
    (
        "no_type.safetensors",
        &["weights", "the safetensors header is damaged: missing field `dtype` at line 1 column 44; download it again"],
    ),
    (
        "nothing_in_it",
        &[
            "weights",
            "no .safetensors file, no .safetensors.index.json and no single .gguf or .bin or .pth or .pt or .ckpt file in this folder",
        ],
    ),
    ("nvfp4.safetensors", &["unsupported", "tensor `l.weight` is stored as nvfp4; give a file in fp8, int8, GGUF or 16 bits"]),
    ("nvfp4_in_metadata.safetensors", &["unsupported", "tensor `l.weight` is stored as nvfp4; give a file in fp8, int8, GGUF or 16 bits"]),
    (
        "offset_of_2_60.safetensors",
        &["weights", "cut short: the header promises 1152921504606847089 bytes, the file has 113; download it again"],
    ),
    (
        "offset_of_2_63.gguf",
        &["weights", "tensor `a`: cut short: it ends at byte 9223372036854775888, the file has 128; download it again"],
    ),
    (
        "offsets_swapped.safetensors",
        &["weights", "tensor `a`: shape [2] of f32 does not fit the bytes 8 to 0 given for it: the header is damaged"],
    ),
    ("original_shape_of_another_size.gguf", &["weights", "tensor `a`: its shape [4] does not fit its original shape [7, 1]"]),
    ("other_zip.pth", &["weights", "a zip archive, but not one that torch wrote: it has no data.pkl"]),
    ("overlap.gguf", &["weights", "tensor `b`: its bytes overlap those of `a`"]),
    ("overlap.safetensors", &["weights", "tensor `b`: its bytes overlap those of another tensor: the header is damaged"]),
    ("page.safetensors", &["weights", "a web page, not a checkpoint: the download failed or needs a login; download it again"]),
    ("picture.safetensors", &["weights", "a picture, not a checkpoint"]),
    (
        "pointer.safetensors",
        &["weights", "a Git LFS pointer, not the file that it stands for: run `git lfs pull`, or download the file itself"],
    ),
    (
        "product_overflows.safetensors",
        &[
            "weights",
            "tensor `a`: shape [4294967296, 4294967296, 16] of f32 does not fit the bytes 0 to 0 given for it: the header is damaged",
        ],
    ),
    (
        "removed_type.gguf",
        &[
            "weights",
            "tensor `a`: it is stored as an unknown encoding (ggml type 4); give a file in Q2_K to Q8_0, IQ4_NL, IQ4_XS or 16 bits",
        ],
    ),
    ("repeats_one_element.pth", &["weights", "tensor `a`: it repeats elements of its storage: save a contiguous copy"]),
    ("rows_of_half_a_block.gguf", &["weights", "tensor `a`: rows of 48 are no whole blocks of q8_0, which holds 32"]),
    (
        "runs_a_command.pth",
        &["weights", "its pickle is refused: it asks for `os.system`, which has no place in a checkpoint and is not executed"],
    ),
    (
        "runs_a_command_in_protocol_4.pth",
        &["weights", "its pickle is refused: it asks for `posix.system`, which has no place in a checkpoint and is not executed"],
    ),
    ("same_range_three_times.safetensors", &["weights", "tensor `b`: its bytes overlap those of another tensor: the header is damaged"]),
    (
        "scale_is_nan.safetensors",
        &["weights", "tensor `l.weight`: element [0, 0] is NaN or infinite: the checkpoint is damaged or was saved wrongly"],
    ),
    (
        "scale_of_wrong_size.safetensors",
        &["weights", "tensor `l.weight`: 3 scales for 2 rows: scales of blocks (mxfp8 and the like) are not supported"],
    ),
    (
        "shape_against_bytes.safetensors",
        &["weights", "tensor `a`: shape [3] of f32 does not fit the bytes 0 to 8 given for it: the header is damaged"],
    ),
    (
        "shard_cut",
        &["weights", "model-00002-of-00002.safetensors", "cut short: the header promises 73 bytes, the file has 72; download it again"],
    ),
    ("shard_missing", &["weights", "model-00002-of-00002.safetensors", "missing, but listed in", "; download it again"]),
    ("shard_without_its_tensor", &["weights", "model-00002-of-00002.safetensors", "tensor `b`: not in this file, where", "has it"]),
    (
        "shards_without_index",
        &[
            "weights",
            "shards without the .safetensors.index.json that lists them (model-00001-of-00002.safetensors, model-00002-of-00002.safetensors): download it too",
        ],
    ),
    ("stack_is_empty.pth", &["weights", "its pickle is refused: its stack is empty"]),
    ("storage_missing.pth", &["weights", "the archive has no member x/data/0"]),
    ("storage_without_key.pth", &["weights", "tensor `a`: its storage is of an unknown kind"]),
    ("tensor_in_two_shards", &["weights", "model-00002-of-00002.safetensors", "tensor `a`: it is in", "too"]),
    ("tensors_2_63.gguf", &["weights", "the GGUF header is damaged or cut short at tensor 3 of 9223372036854775808; download it again"]),
    ("text_of_2_31_bytes.pth", &["weights", "its pickle is refused: it is cut short"]),
    ("text_of_2_63_bytes.gguf", &["weights", "the GGUF header is damaged or cut short at the fact `k`; download it again"]),
    ("two_checkpoints", &["weights", "several checkpoints in this folder (high.safetensors, low.safetensors): give the file"]),
    (
        "unknown_quantisation.safetensors",
        &["unsupported", "tensor `l.weight` is stored as int3_mystery; give a file in fp8, int8, GGUF or 16 bits"],
    ),
    (
        "unknown_storage.pth",
        &[
            "weights",
            "its pickle is refused: it asks for `torch.ComplexFloatStorage`, which has no place in a checkpoint and is not executed",
        ],
    ),
    (
        "unknown_type.gguf",
        &[
            "weights",
            "tensor `a`: it is stored as an unknown encoding (ggml type 99); give a file in Q2_K to Q8_0, IQ4_NL, IQ4_XS or 16 bits",
        ],
    ),
    ("unknown_type.safetensors", &["weights", "tensor `a`: data type F4 is not supported; give a file in 8, 16 or 32 bits"]),
    ("version_1.gguf", &["unsupported", "GGUF version 1; versions 2 and 3 are read"]),
    ("view_beyond_its_storage.pth", &["weights", "tensor `a`: it needs 108 bytes from 0 on, its storage has 32"]),
    (
        "view_of_2_126_elements.pth",
        &["weights", "tensor `a`: shape [9223372036854775807, 9223372036854775807] with strides [3, 1] is beyond any storage"],
    ),
    ("within_itself.pth", &["weights", "its pickle is refused: a dictionary occurs in it twice or within itself"]),
    (
        "zeros.safetensors",
        &["weights", "the safetensors header is damaged: EOF while parsing a value at line 1 column 0; download it again"],
    ),
    ("zip64_member_elsewhere.pth", &["weights", "the zip archive is damaged or cut short: member 0 of its directory; download it again"]),
    ("zip64_of_2_60_bytes.pth", &["weights", "the zip archive is damaged or cut short: member 0 of its directory; download it again"]),
    ("zip64_record_missing.pth", &["weights", "the zip archive is damaged or cut short: it has no directory; download it again"]),
    ("zip_bomb.pth", &["weights", "the member x/data.pkl is compressed, which torch does not do: load and save it again with torch"]),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/weights/bad")
}

/// Opens a checkpoint and reads every tensor.
fn read(path: &Path) -> Result<()> {
    let weights = models::open(path)?;
    for (name, info) in weights.iter() {
        weights.to_f32(name, &info.shape)?;
    }
    Ok(())
}

#[test]
fn every_bad_file_has_its_own_error() {
    let before = peak();
    let mut messages = BTreeSet::new();
    for (name, words) in CASES {
        let start = processor_time();
        let message = read(&folder().join(name)).expect_err(name).to_string();
        assert!(processor_time() - start < Duration::from_secs(1), "{name} took {:?}", processor_time() - start);
        println!("{name}: {}", message.replace(&*folder().to_string_lossy(), "."));
        assert!(message.contains(name), "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{name}: `{message}` does not say {words:?}");
        messages.insert(message);
    }
    assert_eq!(messages.len(), CASES.len());
    if let (Some(before), Some(after)) = (before, peak()) {
        println!("peak memory grew by {} KiB", (after - before) >> 10);
        assert!(after - before < 64 << 20, "{before} bytes before, {after} after");
    }
}

#[test]
fn every_bad_file_is_listed() {
    let there: BTreeSet<String> =
        fs::read_dir(folder()).expect("a folder").map(|entry| entry.expect("readable").file_name().to_string_lossy().into()).collect();
    let listed: BTreeSet<String> = CASES.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(there, listed);
    assert!(CASES.len() >= 40);
}

/// Nothing that a file says is ever run.
#[test]
fn no_command_is_executed() {
    for name in ["runs_a_command.pth", "runs_a_command_in_protocol_4.pth"] {
        assert!(read(&folder().join(name)).is_err());
        assert!(!Path::new("executed").exists() && !folder().join("executed").exists());
    }
}

/// The most memory that the process has had, in bytes, where the system says so.
fn peak() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<usize>().ok()? << 10)
}

"""Writes tests/weights/bad: small files that are damaged, hostile or not what they seem. tests/bad.rs says what each is refused with.

    python tests/reference/bad.py

Needs nothing but Python; every file is the same each time.
"""

import io
import json
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "weights" / "bad"
HUGE = 1 << 60


def write(name, data):
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def safetensors(header, data=b"", claim=None):
    text = header if isinstance(header, bytes) else (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text) if claim is None else claim) + text + data


def f32(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors_files():
    one = {"a": f32([2], 0, 8)}
    pair = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"%s":{"dtype":"F32","shape":[1],"data_offsets":%s}}'
    files = {
        "header_of_2_60_bytes": safetensors("{}", claim=HUGE),
        "header_beyond_the_file": safetensors(one, claim=4096),
        "four_bytes": b"\x08\0\0\0",
        "header_cut": safetensors(one)[:30],
        "data_cut": safetensors(one, bytes(7)),
        "bytes_left_over": safetensors(one, bytes(9)),
        "negative_offset": safetensors({"a": f32([2], -8, 0)}, bytes(8)),
        "offsets_swapped": safetensors({"a": f32([2], 8, 0)}, bytes(8)),
        "offset_of_2_60": safetensors({"a": f32([2], HUGE, HUGE + 8)}, bytes(8)),
        "overlap": safetensors({"a": f32([2], 0, 8), "b": f32([2], 4, 12)}, bytes(12)),
        "same_range_three_times": safetensors({name: f32([2], 0, 8) for name in "abc"}, bytes(8)),
        "gap": safetensors({"a": f32([1], 0, 4), "b": f32([1], 8, 12)}, bytes(12)),
        "name_twice": safetensors(pair % ("a", "[4,8]"), bytes(8)),
        "product_overflows": safetensors({"a": f32([1 << 32, 1 << 32, 16], 0, 0)}),
        "nothing_overflows": safetensors({"a": f32([0, 1 << 40, 1 << 40], 0, 0)}),
        "bytes_overflow": safetensors({"a": f32([1 << 62], 0, 0)}),
        "negative_extent": safetensors({"a": f32([-2], 0, 8)}, bytes(8)),
        "extent_is_text": safetensors({"a": f32(["2"], 0, 8)}, bytes(8)),
        "shape_against_bytes": safetensors({"a": f32([3], 0, 8)}, bytes(8)),
        "unknown_type": safetensors({"a": f32([4], 0, 2, "F4")}, bytes(2)),
        "no_type": safetensors({"a": {"shape": [2], "data_offsets": [0, 8]}}, bytes(8)),
        "header_is_a_list": safetensors("[1, 2]"),
        "header_with_bom": safetensors(b"\xef\xbb\xbf" + json.dumps(one).encode(), bytes(8)),
        "header_in_utf_16": safetensors(json.dumps(one).encode("utf-16"), bytes(8)),
        "name_not_utf_8": safetensors((pair % ("?", "[4,8]")).encode().replace(b"?", b"\xff"), bytes(8)),
        "deep_header": safetensors('{"a":' + "[" * 5_000),
        "nan_double": safetensors({"a": f32([2], 0, 16, "F64")}, struct.pack("<dd", 1.0, float("nan"))),
        "infinite_bfloat": safetensors({"a": f32([2], 0, 4, "BF16")}, b"\x80\x3f\x80\x7f"),
        "nan_half": safetensors({"a": f32([1], 0, 2, "F16")}, b"\x01\x7c"),
        "nan_float8": safetensors({"a": f32([2], 0, 2, "F8_E4M3")}, b"\x38\x7f"),
    }
    for name, data in files.items():
        write(f"{name}.safetensors", data)


def layer(weight, scale=None, description=None, **others):
    """A file with a quantised layer `l`."""
    tensors = {"l.weight": weight, **({"l.weight_scale": scale} if scale else {}), **{f"l.{name}": value for name, value in others.items()}}
    if description is not None:
        text = description.encode()
        tensors["l.comfy_quant"] = ("U8", [len(text)], text)
    header, data = {}, b""
    for name, (dtype, shape, value) in tensors.items():
        header[name] = f32(shape, len(data), len(data) + len(value), dtype)
        data += value
    return safetensors(header, data)


def quantised_files():
    bytes4, one = ("I8", [2, 2], bytes(4)), ("F32", [], struct.pack("<f", 1.0))
    files = {
        "scale_of_wrong_size": layer(("F8_E4M3", [2, 2], bytes(4)), ("F32", [3], bytes(12))),
        "scale_is_nan": layer(("F8_E4M3", [2, 2], b"\x38" * 4), ("F32", [], struct.pack("<f", float("nan")))),
        "nvfp4": layer(("U8", [2, 2], bytes(4)), ("F8_E4M3", [2, 1], bytes(2)), weight_scale_2=one),
        "mxfp8": layer(("F8_E4M3", [2, 32], bytes(64)), ("U8", [2, 1], bytes(2)), '{"format": "mxfp8"}'),
        "convrot_of_odd_group": layer(bytes4, one, '{"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 3}'),
        "unknown_quantisation": layer(bytes4, one, '{"format": "int3_mystery"}'),
        "damaged_description": layer(bytes4, one, '{"format": '),
        "awq": layer(bytes4, pre_quant_scale=one),
    }
    for name, data in files.items():
        write(f"{name}.safetensors", data)
    metadata = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": {"l": {"format": "nvfp4"}}})}
    write("nvfp4_in_metadata.safetensors", safetensors({"__metadata__": metadata, "l.weight": f32([2], 0, 2, "U8")}, bytes(2)))


def index_folders():
    shard = lambda name: safetensors({name: f32([1], 0, 4)}, bytes(4))
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    index = lambda **names: json.dumps({"metadata": {}, "weight_map": names})
    folders = {
        "shard_missing": (index(a=first, b=second), {first: shard("a")}),
        "shard_cut": (index(a=first, b=second), {first: shard("a"), second: shard("b")[:-1]}),
        "shard_without_its_tensor": (index(a=first, b=second), {first: shard("a"), second: shard("c")}),
        "tensor_in_two_shards": (index(a=first, b=second), {first: shard("a"), second: shard("a")}),
        "index_leads_outside": (index(a="../../../../etc/passwd"), {}),
        "index_is_absolute": (index(a="/etc/passwd"), {}),
        "index_lists_nothing": (index(), {}),
        "index_without_map": ('{"metadata": {}}', {}),
        "index_cut": (index(a=first)[:-9], {first: shard("a")}),
        "shards_without_index": (None, {first: shard("a"), second: shard("b")}),
        "nothing_in_it": (None, {"README.md": b"# weights"}),
        "two_checkpoints": (None, {"high.safetensors": shard("a"), "low.safetensors": shard("a")}),
    }
    for name, (index, files) in folders.items():
        if index is not None:
            write(f"{name}/model.safetensors.index.json", index)
        for file, data in files.items():
            write(f"{name}/{file}", data)


STORAGE = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x08tQ"


def view(offset=b"K\0", shape=b"K\x02K\x03\x86", strides=b"K\x03K\x01\x86", storage=STORAGE):
    return b"\x80\x02}X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + shape + strides + b"\x89NtRs."


def archive(data, compression=zipfile.ZIP_STORED, members=None):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        for name, body in (members or {"x/data.pkl": data, "x/data/0": bytes(32)}).items():
            file.writestr(zipfile.ZipInfo(name), body, compression)
    return out.getvalue()


def tensors(*named):
    """A pickle of several views of one storage."""
    one = lambda name, shape, strides: b"X" + struct.pack("<I", len(name)) + name.encode() + view(b"K\0", shape, strides)[9:-2]
    return b"\x80\x02}(" + b"".join(one(*each) for each in named) + b"u."


class Command:
    def __reduce__(self):
        import os

        return os.system, ("echo executed > executed",)


def torch_files():
    cyclic = {}
    cyclic["a"] = {"b": cyclic}
    good = archive(view())
    nested = b"\x80\x02" + b"}X\x01\0\0\0k" * 4_000 + b"}" + b"s" * 4_000 + b"."
    laughs = b"\x80\x02]q\0" + b"]q\x01(h\0h\0h\0h\0e0h\x01q\0" * 800 + b"."
    memo = b"\x80\x02}" + b"r\xff\xff\xff\xff" * 2_000 + b"."
    huge = b"\x8a\x08" + b"\xff" * 7 + b"\x7f"
    files = {
        "runs_a_command": archive(pickle.dumps({"a": Command()}, 2).replace(b"posix", b"os")),
        "runs_a_command_in_protocol_4": archive(pickle.dumps({"a": Command()}, 4)),
        "cyclic": archive(pickle.dumps(cyclic, 2)),
        "within_itself": archive(b"\x80\x02}q\0X\x01\0\0\0ah\0s."),
        "deep": archive(nested, zipfile.ZIP_STORED),
        "billion_laughs": archive(laughs, zipfile.ZIP_STORED),
        "memo_bomb": archive(memo),
        "marks_without_end": archive(b"\x80\x02" + b"(" * 9_000 + b"."),
        "text_of_2_31_bytes": archive(b"\x80\x02}X\xff\xff\xff\x7fa"),
        "stack_is_empty": archive(b"\x80\x02."),
        "never_remembered": archive(b"\x80\x02h\x05."),
        "no_dictionary": archive(pickle.dumps([1, 2], 2)),
        "no_tensors": archive(pickle.dumps({"epoch": 3}, 2)),
        "view_beyond_its_storage": archive(view(shape=b"K\x09K\x03\x86")),
        "view_of_2_126_elements": archive(view(shape=huge + huge + b"\x86")),
        "view_of_nothing_overflows": archive(view(shape=b"K\0" + huge + huge + b"\x87", strides=b"K\x01K\x01K\x01\x87")),
        "negative_stride": archive(view(strides=b"J\xff\xff\xff\xffK\x01\x86")),
        "repeats_one_element": archive(view(shape=huge + b"\x85", strides=b"K\0\x85")),
        "half_of_nothing": archive(tensors(("blocks.0.self_attn.q.weight", b"K\x01\x85", b"K\x01\x85"), ("face_adapter.fuser_blocks.0.linear1_kv.weight", b"K\x02K\0\x86", b"K\x09K\x01\x86"))),
        "half_of_nothing_far_apart": archive(tensors(("blocks.0.self_attn.q.weight", b"K\x01\x85", b"K\x01\x85"), ("face_adapter.fuser_blocks.0.linear1_kv.weight", b"K\x02K\0\x86", huge + b"K\x01\x86"))),
        "unknown_storage": archive(view(storage=STORAGE.replace(b"FloatStorage", b"ComplexFloatStorage"))),
        "storage_missing": archive(None, members={"x/data.pkl": view()}),
        "storage_without_key": archive(view(storage=b"K\x01Q")),
        "compressed": archive(view(), zipfile.ZIP_DEFLATED),
        "zip_bomb": archive(None, zipfile.ZIP_DEFLATED, {"x/data.pkl": bytes(8 << 20)}),
        "other_zip": archive(None, members={"word/document.xml": b"<xml/>"}),
        "big_endian": archive(None, members={"x/data.pkl": view(), "x/byteorder": b"big"}),
        "directory_cut": good[:-30],
        "member_of_4_gb": good.replace(struct.pack("<II", 32, 32), b"\xfe\xff\xff\xff" * 2),
        "zip64_member_elsewhere": zip64(view(), offset=HUGE),
        "zip64_of_2_60_bytes": zip64(view(), size=HUGE),
        "zip64_record_missing": good[:-22] + b"PK\x06\x07" + struct.pack("<IQI", 0, HUGE, 1) + good[-22:],
        "legacy": b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
        "bare_pickle": pickle.dumps({"a": [1.0, 2.0]}, 4),
    }
    for name, data in files.items():
        write(f"{name}.pth", data)
    tar = bytearray(1024)
    tar[:8], tar[257:262] = b"storages", b"ustar"
    write("legacy_tar.pth", bytes(tar))


def zip64(data, size=None, offset=0):
    """An archive of one member whose extra field claims a size or a place."""
    name = b"x/data.pkl"
    local = b"PK\x03\x04" + bytes(14) + struct.pack("<IIHH", len(data), len(data), len(name), 0) + name + data
    extra = struct.pack("<HHQQQ", 1, 24, size or len(data), size or len(data), offset)
    entry = b"PK\x01\x02" + bytes(16) + b"\xff" * 8 + struct.pack("<HHHHHII", len(name), len(extra), 0, 0, 0, 0, 0xFFFFFFFF) + name + extra
    return local + entry + b"PK\x05\x06" + bytes(4) + struct.pack("<HHIIH", 1, 1, len(entry), len(local), 0)


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def info(name, shape, kind, offset):
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def gguf(tensors=0, facts=0, *body, version=3, data=64):
    header = b"GGUF" + struct.pack("<IQQ", version, tensors, facts) + b"".join(body)
    return header + bytes(-len(header) % 32 + data)


def fact(key, kind, value):
    return text(key) + struct.pack("<I", kind) + value


def gguf_files():
    array = lambda key, kind, count, body=b"": fact(key, 9, struct.pack("<IQ", kind, count) + body)
    files = {
        "tensors_2_63": gguf(1 << 63),
        "facts_2_63": gguf(0, 1 << 63),
        "array_of_2_63_numbers": gguf(0, 1, array("k", 10, 1 << 63)),
        "array_of_2_63_texts": gguf(0, 1, array("k", 8, 1 << 63)),
        "array_of_arrays": gguf(0, 1, array("k", 9, 1, struct.pack("<IQ", 9, 1) * 500)),
        "text_of_2_63_bytes": gguf(0, 1, fact("k", 8, struct.pack("<Q", 1 << 63))),
        "name_of_2_63_bytes": gguf(1, 0, struct.pack("<Q", 1 << 63)),
        "name_not_utf_8": gguf(1, 0, info("a", [4], 0, 0).replace(b"a", b"\xff")),
        "alignment_of_3": gguf(0, 1, fact("general.alignment", 4, struct.pack("<I", 3))),
        "alignment_of_2_31": gguf(0, 1, fact("general.alignment", 4, struct.pack("<I", 1 << 31))),
        "unknown_type": gguf(1, 0, info("a", [32], 99, 0)),
        "removed_type": gguf(1, 0, info("a", [32], 4, 0)),
        "mxfp4": gguf(1, 0, info("a", [32], 39, 0)),
        "original_shape_of_another_size": gguf(1, 1, array("comfy.gguf.orig_shape.a", 5, 2, struct.pack("<2i", 7, 1)), info("a", [4], 0, 0)),
        "rows_of_half_a_block": gguf(1, 0, info("a", [48], 8, 0)),
        "extents_overflow": gguf(1, 0, info("a", [1 << 40, 1 << 40], 0, 0)),
        "offset_of_2_63": gguf(1, 0, info("a", [4], 0, 1 << 63)),
        "data_cut": gguf(1, 0, info("a", [32], 0, 0)),
        "overlap": gguf(2, 0, info("a", [8], 0, 0), info("b", [8], 0, 16)),
        "name_twice": gguf(2, 0, info("a", [4], 0, 0), info("a", [4], 0, 32)),
        "version_1": gguf(version=1),
        "big_endian": gguf(version=3 << 24),
        "header_cut": gguf()[:10],
    }
    for name, data in files.items():
        write(f"{name}.gguf", data)


def other_files():
    files = {
        "empty.safetensors": b"",
        "zeros.safetensors": bytes(4096),
        "page.safetensors": "<!DOCTYPE html>\n<html><head><title>404</title></head><body>Entry not found</body></html>",
        "message.safetensors": "Access to model is restricted. You must be authenticated to access it.",
        "pointer.safetensors": f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 34549633768\n",
        "config.safetensors": json.dumps({"_class_name": "WanAnimateTransformer3DModel", "num_layers": 40}, indent=2),
        "picture.safetensors": b"\x89PNG\r\n\x1a\n" + bytes(64),
    }
    for name, data in files.items():
        write(name, data)


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    for files in [safetensors_files, quantised_files, index_folders, torch_files, gguf_files, other_files]:
        files()
    print(sum(1 for _ in FOLDER.iterdir()), "cases,", sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()), "bytes")

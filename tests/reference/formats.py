"""Writes tests/goldens/formats: the same kinds of tensors as torch, ggml and others store them, and what they hold, as `expected.safetensors`.

    python tests/reference/formats.py

Needs torch 2.9.1, gguf 0.19.0, safetensors 0.8.0.
"""

import json
from collections import OrderedDict
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).parent.parent / "goldens" / "formats"

BLOCKS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]

# Where the 16-bit floats lie in a block; everything else may be any byte.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2],
    "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
}


def torch_files():
    """Views, parameters and every type, as a state dict, within a training script's checkpoint, and as other protocols write it."""
    torch.manual_seed(1)
    base = torch.randn(6, 8)
    tensors = OrderedDict(
        whole=base, rows=base[2:4], transposed=base.T, stepped=base[::2, 1::3], scalar=torch.tensor(2.5), empty=torch.zeros(0, 3),
        half=torch.randn(3, 5).half(), bfloat=torch.randn(7).bfloat16(), double=torch.randn(2, 2, dtype=torch.float64), long=torch.tensor([3, -4]),
        int=torch.tensor([5, -6], dtype=torch.int32), short=torch.tensor([7, -8], dtype=torch.int16), char=torch.tensor([-9], dtype=torch.int8),
        byte=torch.tensor([200], dtype=torch.uint8), bool=torch.tensor([True, False]), e4m3=torch.randn(9).to(torch.float8_e4m3fn),
        e5m2=torch.randn(9).to(torch.float8_e5m2), half_transposed=torch.randn(4, 3).half().T,
    )
    tensors["conv.weight"] = torch.nn.Parameter(torch.randn(2, 3, 1, 2, 2))
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    torch.save(tensors, FOLDER / "tensors.pth")
    torch.save(tensors, FOLDER / "protocol4.pt", pickle_protocol=4)
    torch.save(module.state_dict(), FOLDER / "module.pth")
    extra = {"epoch": 3, "lr": 0.1, "name": "x", "done": None, "sizes": [1, (2, 3)], "big": 1 << 40}
    torch.save({"state_dict": module.state_dict(), **extra, "ema": {"0": {"weight": torch.ones(2)}}}, FOLDER / "wrapped.ckpt")
    expected = {f"torch.{name}": value.detach().float().contiguous() for name, value in tensors.items()}
    return expected | {f"module.{name}": value.contiguous() for name, value in module.state_dict().items()}


def blocks(kind, rows, rng):
    elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    data = rng.integers(0, 256, (rows, 512 // elements, size), dtype=np.uint8)
    for at in HALVES[kind]:
        halves = rng.uniform(-0.1, 0.1, data.shape[:2]).astype(np.float16)
        data[:, :, at : at + 2] = halves[..., None].view(np.uint8)
    return data.reshape(rows, -1)


def gguf_file():
    """Every kind of block from random bytes, plain types, five extents, and a shape kept beside the tensor."""
    rng = np.random.default_rng(2)
    writer = gguf.GGUFWriter(FOLDER / "blocks.gguf", "wan")
    writer.add_array("tokenizer.ggml.tokens", ["<pad>", "</s>", "▁a"])
    writer.add_array("tokenizer.ggml.scores", [0.0, 0.0, -1.5])
    writer.add_bool("some.flag", True)
    writer.add_float64("some.double", 0.5)
    expected = {}
    for kind in BLOCKS:
        type = gguf.GGMLQuantizationType[kind]
        data = blocks(kind, 2, rng)
        writer.add_tensor(f"{kind.lower()}.weight", data, raw_dtype=type)
        expected[f"gguf.{kind.lower()}.weight"] = torch.from_numpy(gguf.dequantize(data, type))
    plain = rng.normal(size=(2, 3, 1, 2, 2)).astype(np.float32)
    writer.add_tensor("five", plain)
    writer.add_tensor("f16", plain[0].astype(np.float16))
    bfloat = torch.from_numpy(plain[1].copy()).bfloat16()
    writer.add_tensor("bf16", bfloat.view(torch.uint8).numpy(), raw_shape=bfloat.view(torch.uint8).shape, raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.add_tensor("folded", plain.reshape(6, 4))
    writer.add_array("comfy.gguf.orig_shape.folded", [2, 3, 1, 2, 2])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    expected |= {"gguf.five": torch.from_numpy(plain), "gguf.f16": torch.from_numpy(plain[0].astype(np.float16)).float()}
    return expected | {"gguf.bf16": bfloat.float(), "gguf.folded": torch.from_numpy(plain)}


def float8_file():
    """Every code of both 8-bit floats that is a number."""
    codes = torch.arange(256, dtype=torch.uint8)
    e4m3 = codes[(codes & 0x7F) != 0x7F].view(torch.float8_e4m3fn)
    e5m2 = codes[(codes & 0x7F) < 0x7C].view(torch.float8_e5m2)
    save_file({"e4m3": e4m3, "e5m2": e5m2}, FOLDER / "float8.safetensors")
    return {"float8.e4m3": e4m3.float(), "float8.e5m2": e5m2.float()}


def convrot_file():
    """Rows of 8-bit integers under ComfyUI's rotation, described beside the weight, in groups of 256, 16 and (as the default) 256 again."""
    generator = torch.Generator().manual_seed(3)
    h4 = torch.tensor([[1, 1, 1, -1], [1, 1, -1, 1], [1, -1, 1, 1], [-1, 1, 1, 1]], dtype=torch.float64) / 2
    tensors, expected = {}, {}
    for name, group, described in [("wide", 256, 256), ("narrow", 16, 16), ("default", 256, None)]:
        rotation = h4
        while len(rotation) < group:
            rotation = torch.kron(rotation, h4)
        rotation = torch.block_diag(*[rotation] * (512 // group))
        weight = torch.randn(3, 512, generator=generator, dtype=torch.float64) @ rotation
        scale = (weight.abs().amax(1, keepdim=True) / 127).float()
        codes = (weight / scale).round().clamp(-127, 127)
        description = {"format": "int8_tensorwise", "convrot": True} | ({"convrot_groupsize": described} if described else {})
        tensors |= {f"{name}.weight": codes.to(torch.int8), f"{name}.weight_scale": scale}
        tensors[f"{name}.comfy_quant"] = torch.tensor(list(json.dumps(description).encode()), dtype=torch.uint8)
        expected[f"convrot.{name}.weight"] = ((codes * scale.double()) @ rotation.T).float()
    save_file(tensors, FOLDER / "convrot.safetensors")
    return expected


def described_file():
    """A scaled layer that the file's metadata describes, as ComfyUI writes it."""
    codes = torch.arange(0x30, 0x40, dtype=torch.uint8).view(torch.float8_e4m3fn).reshape(4, 4)
    name = "blocks.0.self_attn.q"
    layers = {"format_version": "1.0", "layers": {name: {"format": "float8_e4m3fn"}}}
    tensors = {f"model.diffusion_model.{name}.weight": codes, f"model.diffusion_model.{name}.weight_scale": torch.tensor(0.75)}
    save_file(tensors, FOLDER / "described.safetensors", {"_quantization_metadata": json.dumps(layers)})
    return {"described.blocks.0.attn1.to_q.weight": codes.float() * 0.75}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    expected = torch_files() | gguf_file() | float8_file() | convrot_file() | described_file()
    save_file({name: value.clone() for name, value in expected.items()}, FOLDER / "expected.safetensors")

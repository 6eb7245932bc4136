"""Writes fuzz/seeds: a few small files a target, with the headers, names and dialects of published checkpoints, and next to no data.

    python fuzz/seeds.py

Needs torch 2.9.1, gguf 0.19.0, peft 0.21.2, safetensors 0.8.0, imageio-ffmpeg 0.6.0, onnx 1.23.2, and tests/goldens.
"""

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import gguf
import imageio_ffmpeg
import numpy as np
import torch
from safetensors.torch import save_file

SEEDS = Path(__file__).parent / "seeds"
GOLDENS = Path(__file__).parent.parent / "tests" / "goldens"

NATIVE = {
    "patch_embedding.weight": (4, 3, 1, 2, 2), "blocks.0.self_attn.q.weight": (4, 4), "blocks.0.self_attn.q.bias": (4,), "blocks.0.modulation": (1, 6, 4),
    "face_adapter.fuser_blocks.0.linear1_kv.weight": (8, 4), "motion_encoder.enc.net_app.convs.0.1.bias": (1, 4, 1, 1), "head.modulation": (1, 2, 4),
}
DIFFUSERS = {"blocks.0.attn1.to_q.weight": (4, 4), "blocks.0.attn1.to_q.bias": (4,), "condition_embedder.time_proj.weight": (24, 4), "scale_shift_table": (1, 2, 4)}


def ones(shapes, dtype=torch.float32, prefix=""):
    return {prefix + name: torch.ones(shape, dtype=dtype) for name, shape in shapes.items()}


def text(value):
    return torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8)


def target(name):
    (SEEDS / name).mkdir(parents=True, exist_ok=True)
    return SEEDS / name


def safetensors():
    out = target("safetensors")
    save_file(ones(DIFFUSERS, torch.bfloat16), out / "diffusers", {"format": "pt"})
    scaled = ones(NATIVE, torch.float16, "model.diffusion_model.")
    name = "model.diffusion_model.blocks.0.self_attn.q"
    scaled[f"{name}.weight"] = torch.ones(4, 4).to(torch.float8_e4m3fn)
    legacy = {"model.diffusion_model.scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn), f"{name}.scale_weight": torch.ones(1)}
    save_file(scaled | legacy, out / "scaled")
    layers = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": {name: {"format": "float8_e4m3fn"}}})}
    save_file(scaled | {f"{name}.weight_scale": torch.tensor(2.0)}, out / "metadata", layers)
    rows = {f"{name}.weight": torch.ones(4, 4, dtype=torch.int8), f"{name}.weight_scale": torch.ones(4, 1), f"{name}.comfy_quant": text({"format": "int8_tensorwise"})}
    save_file(scaled | rows, out / "rows")
    quanto = {f"{name}.weight._data": torch.ones(4, 4, dtype=torch.int8), f"{name}.weight._scale": torch.ones(4, 1), f"{name}.input_scale": torch.ones(())}
    save_file({key: value for key, value in scaled.items() if key != f"{name}.weight"} | quanto, out / "quanto")
    parts = ones({"vae.encoder.conv_in.bias": (4,), "text_encoders.umt5xxl.transformer.shared.weight": (2, 3), "clip_vision.vision_model.pre_layrnorm.weight": (4,)}, torch.float16)
    save_file(ones(NATIVE, torch.float16, "model.diffusion_model.") | parts, out / "all_in_one")
    vocabulary = {"spiece_model": torch.tensor([10, 4, 10, 2, 65, 66], dtype=torch.uint8), "shared.weight": torch.ones(2, 3)}
    save_file(vocabulary, out / "vocabulary")


def index():
    shards = {"a.weight": "model-00001-of-00002.safetensors", "b.weight": "model-00002-of-00002.safetensors"}
    (target("index") / "two").write_text(json.dumps({"metadata": {"total_size": 8}, "weight_map": shards}, indent=2))


def torch_archives():
    out = target("torch")
    base = torch.arange(24.0).reshape(4, 6)
    views = {"rows": base[1:3], "transposed": base.T, "half": base[:1].half(), "e4m3": base[:1].to(torch.float8_e4m3fn)}
    torch.save(ones(NATIVE, torch.bfloat16), out / "official")
    torch.save(views, out / "views")
    torch.save(views, out / "protocol4", pickle_protocol=4)
    torch.save({"state_dict": torch.nn.Linear(2, 2).state_dict(), "epoch": 3, "sizes": [1, (2, 3)]}, out / "wrapped")


def gguf_files():
    out = target("gguf")
    for name, tensors in {"dit": NATIVE, "umt5": {"token_embd.weight": (2, 32), "enc.blk.0.attn_q.weight": (2, 32)}}.items():
        writer = gguf.GGUFWriter(out / name, "wan")
        writer.add_uint32("general.file_type", 7)
        writer.add_array("tokenizer.ggml.tokens", ["<pad>", "</s>", "▁a"])
        writer.add_array("tokenizer.ggml.scores", [0.0, 0.0, -1.5])
        for tensor, shape in tensors.items():
            if len(shape) == 5:
                writer.add_array(f"comfy.gguf.orig_shape.{tensor}", list(shape))
                shape = (shape[0], int(np.prod(shape[1:])))
            values = np.ones(shape, dtype=np.float32)
            kind = gguf.GGMLQuantizationType.Q8_0 if shape[-1] == 32 else gguf.GGMLQuantizationType.F16
            writer.add_tensor(tensor, gguf.quantize(values, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def tokenizers():
    for name in ["umt5", "t5", "converted", "spaced"]:
        shutil.copy(GOLDENS / "tokenizer" / f"{name}.json", target("tokenizer") / name)
    pieces = [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["\u2581", -1.0], ["a", -2.0], ["\u2581a", -1.5]]
    small = {"normalizer": {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}, "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581"}}
    small["added_tokens"] = [{"id": 1, "content": "</s>", "single_word": False, "lstrip": False, "rstrip": True, "normalized": False, "special": True}]
    small["model"] = {"type": "Unigram", "unk_id": 2, "vocab": pieces}
    (target("tokenizer") / "small").write_text(json.dumps(small))
    shutil.copy(GOLDENS / "tokenizer" / "spiece.model", target("spiece") / "t5")


def factors(down, up, prefix, modules, alpha=None):
    tensors = {}
    for name in modules:
        tensors |= {f"{prefix}{name}{down}": torch.ones(2, 4), f"{prefix}{name}{up}": torch.ones(4, 2)}
        if alpha is not None:
            tensors[f"{prefix}{name}.alpha"] = torch.tensor(alpha)
    return tensors


def loras():
    out = target("lora")
    native, diffusers = ["blocks.0.self_attn.q"], ["blocks.0.attn1.to_q"]
    save_file(factors(".lora_A.weight", ".lora_B.weight", "transformer.", diffusers), out / "diffusers", {"lora_adapter_metadata": '{"transformer.r": 2, "transformer.lora_alpha": 4}'})
    save_file(factors(".lora_down.weight", ".lora_up.weight", "lora_unet_", ["blocks_0_self_attn_q"], 1.0), out / "kohya", {"ss_network_alpha": "1.0", "ss_network_dim": "2"})
    save_file(factors(".lora_down.weight", ".lora_up.weight", "diffusion_model.", native, 2), out / "comfyui")
    torch.save({"state_dict": factors(".lora_A.default.weight", ".lora_B.default.weight", "base_model.model.", native)}, out / "relighting")
    whole = {"diffusion_model.blocks.0.self_attn.q.diff": torch.ones(4, 4), "diffusion_model.blocks.0.self_attn.q.diff_b": torch.ones(4), "diffusion_model.blocks.0.diff_m": torch.ones(1, 6, 4)}
    save_file(whole, out / "whole")
    hada = {f"blocks.0.attn1.to_q.hada_w{i}_{side}": torch.ones((4, 2) if side == "a" else (2, 4)) for i in (1, 2) for side in "ab"}
    lokr = {"lycoris_face_adapter_fuser_blocks_0_linear1_kv.lokr_w1": torch.ones(2, 1), "lycoris_face_adapter_fuser_blocks_0_linear1_kv.lokr_w2": torch.ones(4, 4)}
    save_file(hada | lokr, out / "lycoris")
    dora = {"diffusion_model.blocks.0.self_attn.q.dora_scale": torch.ones(4, 1), "diffusion_model.patch_embedding.lora_magnitude_vector": torch.ones(1, 4, 1, 1, 1)}
    conv = {"diffusion_model.patch_embedding.lora_A.weight": torch.ones(2, 3, 1, 2, 2), "diffusion_model.patch_embedding.lora_B.weight": torch.ones(4, 2, 1, 1, 1)}
    save_file(factors(".lora_A.weight", ".lora_B.weight", "diffusion_model.", native) | conv | dora, out / "dora")
    image = ["blocks.0.self_attn.q", "blocks.0.cross_attn.k_img"]
    save_file(factors(".lora_down.weight", ".lora_up.weight", "diffusion_model.", image), out / "image_branch")


def configs():
    for path in [*(GOLDENS / "tiny").rglob("*.json"), *(GOLDENS / "family").glob("t*2v/scheduler/*.json")]:
        if path.parent.name not in ("tokenizer", "runs"):
            shutil.copy(path, target("config") / "_".join(path.relative_to(GOLDENS).with_suffix("").parts))


def keypoints():
    out = target("keypoints")
    points = [[x % 60, x % 44, 0.9] for x in range(133)]
    (out / "own").write_text(json.dumps({"format": "coco-wholebody-133", "width": 64, "height": 48, "fps": 30.0, "frames": [[None, *points[1:]]]}))
    flat = lambda count: [number for point in points[:count] for number in point]
    person = {"pose_keypoints_2d": flat(18), "face_keypoints_2d": flat(70), "hand_left_keypoints_2d": flat(21), "hand_right_keypoints_2d": None}
    (out / "comfyui").write_text(json.dumps([{"people": [person, person], "canvas_width": 64, "canvas_height": 48}, {"people": [], "canvas_width": 64, "canvas_height": 48}]))
    (out / "openpose").write_text(json.dumps({"version": 1.3, "people": [{"pose_keypoints_2d": [number / 60 for number in flat(25)]}]}))


def videos():
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=32x16:rate=8:duration=0.5", "-bitexact"]
    for name, format, more in [("mp4", "mp4", ["-bf", "2"]), ("fast", "mp4", ["-movflags", "+faststart"]), ("mov", "mov", ["-bf", "0"])]:
        x264 = ["-c:v", "libx264", "-x264-params", "info=0", "-pix_fmt", "yuv420p", *more]
        subprocess.run([*ffmpeg, *x264, "-f", format, target("mp4") / name], check=True)


def networks():
    """Many operators beside each other, as tests/reference has them."""
    sys.path.append(str(GOLDENS.parent / "reference"))
    from onnx_operators import FAMILIES
    from onnx_random import Builder

    for family in FAMILIES:
        b = Builder(13, [1, 4, 6, 6])
        (target("onnx") / family.__name__).write_bytes(b.model(list(family(b, "input"))).SerializeToString())


if __name__ == "__main__":
    for write in [safetensors, index, torch_archives, gguf_files, tokenizers, loras, configs, videos, keypoints, networks]:
        write()

"""Makes tests/goldens/lora/: LoRA files for the tiny checkpoints, and what diffusers makes of them.

    python lora.py

`native.safetensors` has the official names and integer alphas over ranks, `peft.safetensors` diffusers' names and no
alphas. `samples.safetensors` has the transformer's output, for the inputs of goldens/parts/tiny_transformer, with
native at 1, native at -0.5, and native at 0.7 with peft at 1.5; and whole runs: `animate` with both, and `t2v` with native on
the high-noise expert alone and peft on both.
"""

import json
from pathlib import Path

import torch
from diffusers.utils import logging
from safetensors.torch import load_file

import family
import parts
import run

GOLDENS = Path(__file__).parent.parent / "goldens"
OUT = GOLDENS / "lora"

NATIVE = {
    "self_attn.q": "attn1.to_q",
    "self_attn.k": "attn1.to_k",
    "self_attn.v": "attn1.to_v",
    "self_attn.o": "attn1.to_out.0",
    "cross_attn.q": "attn2.to_q",
    "cross_attn.k": "attn2.to_k",
    "cross_attn.v": "attn2.to_v",
    "cross_attn.o": "attn2.to_out.0",
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
}
PEFT = ["blocks.1.attn1.to_q", "blocks.1.attn2.to_k", "blocks.0.ffn.net.2", "proj_out", "condition_embedder.time_proj"]
FACE = ["face_adapter.0.to_k", "face_adapter.0.to_v"]


def factors(tensors, module, rank, generator):
    """Down and up with a product that is of the weight's own size."""
    rows, cols = tensors[f"{module}.weight"].shape
    size = 0.3 / rank**0.5
    down = torch.randn(rank, cols, generator=generator) * size
    return down, torch.randn(rows, rank, generator=generator) * size


def native(tensors):
    generator = torch.Generator().manual_seed(30)
    file = {}
    for block in range(2):
        for there, here in NATIVE.items():
            down, up = factors(tensors, f"blocks.{block}.{here}", 4, generator)
            key = f"diffusion_model.blocks.{block}.{there}"
            file |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.alpha": torch.tensor(2 + 4 * block)}
    return file


def peft(tensors, modules):
    generator = torch.Generator().manual_seed(31)
    file = {}
    for module in modules:
        down, up = factors(tensors, module, 3, generator)
        file |= {f"transformer.{module}.lora_A.weight": down, f"transformer.{module}.lora_B.weight": up}
    return file


def samples(pipe):
    cases = {"native": (["native"], [1.0]), "negative": (["native"], [-0.5]), "both": (["native", "peft"], [0.7, 1.5])}
    results = {}
    for name, (adapters, weights) in cases.items():
        pipe.set_adapters(adapters, weights)
        results[name] = parts.transformer(pipe)["sample"]
    return results


def animate():
    pipe = run.load(GOLDENS / "tiny")
    pipe.load_lora_weights(OUT / "native.safetensors", adapter_name="native")
    pipe.load_lora_weights(OUT / "peft.safetensors", adapter_name="peft")
    results = samples(pipe)
    settings = json.loads((GOLDENS / "runs" / "animate" / "run.json").read_text())
    _, expected = run.run(pipe, settings, GOLDENS)
    return {**results, "animate": expected["frames"]}


def t2v():
    root = GOLDENS / "family"
    pipe = family.load(root / "t2v", with_image=False)
    pipe.load_lora_weights(OUT / "native.safetensors", adapter_name="native")
    pipe.load_lora_weights(OUT / "plain.safetensors", adapter_name="high")
    pipe.load_lora_weights(OUT / "plain.safetensors", adapter_name="low", load_into_transformer_2=True)
    pipe.transformer.set_adapters(["native", "high"], [0.7, 1.5])
    pipe.transformer_2.set_adapters(["low"], [1.5])
    settings = json.loads((root / "runs" / "t2v_unguided" / "run.json").read_text())
    _, expected = family.run(pipe, settings, root)
    return expected["frames"]


def main():
    logging.set_verbosity_error()
    torch.set_num_threads(1)  # sums do not depend on how many cores there are
    torch.set_grad_enabled(False)
    OUT.mkdir(exist_ok=True)
    tensors = load_file(GOLDENS / "tiny" / "transformer" / "diffusion_pytorch_model.safetensors")
    parts.write(native(tensors), OUT / "native.safetensors")
    parts.write(peft(tensors, PEFT + FACE), OUT / "peft.safetensors")
    parts.write(peft(tensors, PEFT), OUT / "plain.safetensors")
    parts.write({**animate(), "t2v": t2v()}, OUT / "samples.safetensors")


if __name__ == "__main__":
    main()

"""Makes tests/goldens/lora/strength: LoRA files whose strength stands beside their tensors, the official relighting LoRA, and what they add.

    python tests/reference/lora_strength.py WAN2.2

The argument is a clone of Wan-Video/Wan2.2. `deltas.safetensors` holds what peft adds to some weights, under `FILE:MODULE` with diffusers' names.
Needs torch 2.9.1, diffusers 0.42.1, peft 0.21.2.
"""

import importlib.util
import shutil
import sys
from pathlib import Path

import torch
from diffusers import WanAnimateTransformer3DModel
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

import names

GOLDENS = Path(__file__).parent.parent / "goldens"
OUT = GOLDENS / "lora" / "strength"
TARGETS = ["blocks.0.attn1.to_q", "blocks.1.attn1.to_q", "blocks.1.ffn.net.2"]


def model():
    return WanAnimateTransformer3DModel.from_pretrained(GOLDENS / "tiny" / "transformer")


def randomise(model, seed):
    """Factors of the weights' own size; what peft starts with is zero."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2


def added(model, file, modules):
    layers = dict(model.named_modules())
    return {f"{file}:{there}": layers[here].get_delta_weight("default").contiguous() for here, there in modules.items()}


def diffusers(file, **settings):
    transformer = model()
    transformer.add_adapter(LoraConfig(target_modules=TARGETS, **settings))
    randomise(transformer, 40)
    transformer.save_lora_adapter(OUT, weight_name=file)
    return added(transformer, file, {name: name for name in TARGETS})


def peft():
    wrapped = get_peft_model(model(), LoraConfig(r=3, lora_alpha=7, target_modules=TARGETS, rank_pattern={"blocks.1.attn1.to_q": 2}, alpha_pattern={"ffn.net.2": 1}))
    randomise(wrapped, 41)
    wrapped.save_pretrained(OUT / "peft")
    (OUT / "peft" / "README.md").unlink()
    return added(wrapped.base_model.model, "peft/adapter_model.safetensors", {name: name for name in TARGETS})


def kohya():
    generator = torch.Generator().manual_seed(42)
    down, up = (torch.randn(shape, generator=generator) * 0.2 for shape in [(4, 24), (24, 4)])
    tensors = {"lora_unet_blocks_0_self_attn_q.lora_down.weight": down, "lora_unet_blocks_0_self_attn_q.lora_up.weight": up}
    metadata = {"ss_network_alpha": "2.0", "ss_network_dim": "4", "ss_network_module": "networks.lora_wan"}
    save_file(tensors, OUT / "kohya.safetensors", metadata)
    # What musubi-tuner's conversion makes of it: alpha is in the factors, the metadata stays.
    converted = {"diffusion_model.blocks.0.self_attn.q.lora_A.weight": down * 0.5**0.5, "diffusion_model.blocks.0.self_attn.q.lora_B.weight": up * 0.5**0.5}
    save_file(converted, OUT / "converted.safetensors", metadata)
    return {f"{file}:blocks.0.attn1.to_q": up @ down / 2 for file in ["kohya.safetensors", "converted.safetensors"]}


def relighting(clone):
    """As the official code makes and reads it, of rank 8."""
    official = names.official(clone)["animate.model_animate"].WanAnimateModel
    spec = importlib.util.spec_from_file_location("animate_utils", Path(clone, "wan/modules/animate/animate_utils.py"))
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)
    sizes = dict(dim=24, in_dim=36, ffn_dim=40, freq_dim=32, text_dim=16, out_dim=16, num_heads=2, num_layers=2)
    transformer = official(patch_size=(1, 2, 2), use_context_parallel=False, **sizes)
    transformer.add_adapter(utils.get_loraconfig(transformer, rank=8, alpha=8))
    randomise(transformer, 43)
    torch.save({"state_dict": get_peft_model_state_dict(transformer)}, OUT / "relighting_lora.ckpt")
    repack = {f"diffusion_model.{name}": value.half() for name, value in get_peft_model_state_dict(transformer).items()}
    save_file(repack, OUT / "relighting_repack.safetensors")
    modules = {"blocks.0.self_attn.q": "blocks.0.attn1.to_q", "blocks.1.cross_attn.v_img": "blocks.1.attn2.add_v_proj", "blocks.1.ffn.2": "blocks.1.ffn.net.2"}
    return added(transformer, "relighting_lora.ckpt", modules)


def main():
    torch.set_grad_enabled(False)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    deltas = relighting(sys.argv[1]) | peft() | kohya()
    deltas |= diffusers("diffusers.safetensors", r=3, lora_alpha=6, alpha_pattern={"blocks.1.attn1.to_q": 1.5})
    deltas |= diffusers("rslora.safetensors", r=4, lora_alpha=6, use_rslora=True)
    save_file({name: value.contiguous() for name, value in deltas.items()}, OUT / "deltas.safetensors")


if __name__ == "__main__":
    main()

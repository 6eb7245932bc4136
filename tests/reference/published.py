"""Writes tests/goldens/published: names and shapes of every tensor of the published models, from their code and configurations.

    python tests/reference/published.py WAN2.1 WAN2.2

The arguments are clones of Wan-Video/Wan2.1 and Wan-Video/Wan2.2. Models are built on the meta device, at full size and without data: the
official classes with the official configurations, those of diffusers and transformers with the published `config.json` files' values.
`{40}` in a name stands for the numbers 0 to 39. Needs torch 2.9.1, diffusers 0.42.1, transformers 5.x.
"""

import importlib
import json
import re
import sys
import types
from pathlib import Path
from unittest import mock

import torch
from diffusers import AutoencoderKLWan, WanAnimate2Transformer3DModel, WanAnimateTransformer3DModel, WanTransformer3DModel
from transformers import CLIPVisionConfig, CLIPVisionModel, Sam2VideoConfig, Sam2VideoModel, UMT5Config, UMT5EncoderModel
from transformers.models.sam2.configuration_sam2 import Sam2HieraDetConfig, Sam2VisionConfig

FOLDER = Path(__file__).parent.parent / "goldens" / "published"

A14B = dict(dim=5120, ffn_dim=13824, freq_dim=256, text_dim=4096, out_dim=16, num_heads=40, num_layers=40, patch_size=(1, 2, 2))
T2V_1_3B = A14B | dict(dim=1536, ffn_dim=8960, num_heads=12, num_layers=30)
TI2V_5B = A14B | dict(dim=3072, ffn_dim=14336, num_heads=24, num_layers=30, in_dim=48, out_dim=48)
UMT5 = dict(vocab=256384, dim=4096, dim_attn=4096, dim_ffn=10240, num_heads=64, num_layers=24, num_buckets=32, shared_pos=False)
VAE_2_1 = dict(dim=96, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[], temperal_downsample=[False, True, True], dropout=0.0)
VAE_2_2 = VAE_2_1 | dict(dim=160, z_dim=48, dec_dim=256)


def modules(clone, *names):
    """Modules of the official code, without what they import for other purposes than building models."""
    for name in [name for name in sys.modules if name.split(".")[0] == "wan"]:
        del sys.modules[name]
    for name in ["einops", "torchvision", "torchvision.transforms", "wan.distributed.sequence_parallel", "wan.distributed.util", "flash_attn", "flash_attn_interface"]:
        sys.modules[name] = mock.MagicMock()
    for name in ["wan", "wan.modules", "wan.modules.animate", "wan.distributed"]:
        package = types.ModuleType(name)
        package.__path__ = [str(Path(clone, *name.split(".")))]
        sys.modules[name] = package
    torch.cuda.current_device = lambda: 0  # asked for when a class is defined
    return [importlib.import_module(f"wan.modules.{name}") for name in names]


def compact(shapes):
    """Names that differ in one number only, from 0 on without a gap, and have one shape, as one."""
    groups, lines, done = {}, [], set()
    for name, shape in shapes.items():
        for place in re.finditer(r"(?<=\.)\d+(?=\.)", name):
            key = name[: place.start()], name[place.end() :], tuple(shape)
            groups.setdefault(key, []).append(int(place.group()))
    for name, shape in shapes.items():
        found = [(a, b, n) for (a, b, s), n in groups.items() if s == tuple(shape) and n == list(range(len(n))) and len(n) > 1 and name in {f"{a}{i}{b}" for i in n}]
        if name in done:
            continue
        if found:
            before, after, numbers = max(found, key=lambda group: len(group[2]))
            if not done & {f"{before}{i}{after}" for i in numbers}:
                done |= {f"{before}{i}{after}" for i in numbers}
                lines.append([f"{before}{{{len(numbers)}}}{after}", list(shape)])
                continue
        lines.append([name, list(shape)])
    return lines


def write(name, build):
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in build().state_dict().items()}
    text = ",\n".join(json.dumps(line, separators=(",", ":")) for line in compact(shapes))
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(f"[\n{text}\n]\n")
    print(name, len(shapes), text.count("\n") + 1)


def official(wan_2_1, wan_2_2):
    model, vae = modules(wan_2_1, "model", "vae")
    write("official_t2v_14b", lambda: model.WanModel(model_type="t2v", in_dim=16, **A14B))
    write("official_t2v_1_3b", lambda: model.WanModel(model_type="t2v", in_dim=16, **T2V_1_3B))
    write("official_i2v_2_1", lambda: model.WanModel(model_type="i2v", in_dim=36, **A14B))
    write("official_flf2v_2_1", lambda: model.WanModel(model_type="flf2v", in_dim=36, **A14B))
    animate, clip, t5, vae_2_1, vae_2_2, model = modules(wan_2_2, "animate.model_animate", "animate.clip", "t5", "vae2_1", "vae2_2", "model")
    write("official_animate", lambda: animate.WanAnimateModel(in_dim=36, use_context_parallel=False, **A14B))
    write("official_i2v_2_2", lambda: model.WanModel(model_type="i2v", in_dim=36, **A14B))
    write("official_ti2v", lambda: model.WanModel(model_type="ti2v", **TI2V_5B))
    write("official_umt5", lambda: t5.T5Encoder(dropout=0.1, **UMT5))
    write("official_clip", lambda: clip.clip_xlm_roberta_vit_h_14(pretrained=False, return_transforms=False, return_tokenizer=False, dtype=torch.float16, device="meta"))
    write("official_vae_2_1", lambda: vae_2_1.WanVAE_(**VAE_2_1))
    write("official_vae_2_2", lambda: vae_2_2.WanVAE_(**VAE_2_2))


def diffusers():
    common = dict(num_attention_heads=40, ffn_dim=13824, num_layers=40)
    image = dict(in_channels=36, image_dim=1280, added_kv_proj_dim=5120)
    write("diffusers_animate", lambda: WanAnimateTransformer3DModel(added_kv_proj_dim=5120))
    write("diffusers_t2v_14b", lambda: WanTransformer3DModel(**common))
    write("diffusers_t2v_1_3b", lambda: WanTransformer3DModel(num_attention_heads=12, ffn_dim=8960, num_layers=30))
    write("diffusers_i2v_2_1", lambda: WanTransformer3DModel(**common, **image))
    write("diffusers_flf2v_2_1", lambda: WanTransformer3DModel(**common, **image, pos_embed_seq_len=514))
    # Animate-2 has official names for the most part, in diffusers too.
    write("modular_animate_2", lambda: WanAnimate2Transformer3DModel())
    write("diffusers_i2v_2_2", lambda: WanTransformer3DModel(**common, in_channels=36))
    write("diffusers_ti2v", lambda: WanTransformer3DModel(num_attention_heads=24, ffn_dim=14336, num_layers=30, in_channels=48, out_channels=48))
    write("diffusers_vae_2_1", lambda: AutoencoderKLWan())
    large = dict(base_dim=160, decoder_base_dim=256, z_dim=48, in_channels=12, out_channels=12, patch_size=2, is_residual=True, scale_factor_spatial=16)
    write("diffusers_vae_2_2", lambda: AutoencoderKLWan(**large, latents_mean=[0.0] * 48, latents_std=[1.0] * 48))
    umt5 = UMT5Config(vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu")
    write("transformers_umt5", lambda: UMT5EncoderModel(umt5))
    clip = CLIPVisionConfig(hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=16, patch_size=14)
    write("transformers_clip", lambda: CLIPVisionModel(clip))
    for size, (dims, blocks, background) in SAM2.items():
        write(f"transformers_sam2_{size}", lambda: sam2(dims, blocks, background))


# Channels of the first stage, blocks of each, and the extents of the coarse positions.
SAM2 = {
    "tiny": (96, [1, 2, 7, 2], 7),
    "small": (96, [1, 2, 11, 2], 7),
    "base_plus": (112, [2, 3, 16, 3], 14),
    "large": (144, [2, 6, 36, 4], 7),
}


def sam2(dim, blocks, background):
    dims = [dim * 2**stage for stage in range(4)]
    hiera = Sam2HieraDetConfig(
        hidden_size=dim, embed_dim_per_stage=dims, blocks_per_stage=blocks, window_positional_embedding_background_size=[background] * 2
    )
    return Sam2VideoModel(Sam2VideoConfig(vision_config=Sam2VisionConfig(backbone_config=hiera, backbone_channel_list=dims[::-1])))


if __name__ == "__main__":
    official(*sys.argv[1:3])
    diffusers()

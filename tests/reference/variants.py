"""Encoders in the sizes and settings that the tiny checkpoints lack, each with its configuration, weights, inputs and outputs.

    python variants.py [--out ../goldens/variants]

`NAME.json` is the configuration, `NAME.safetensors` holds the weights (named `weights.` and their own name), inputs and
outputs. `positions` and `qr` have no weights: they hold the buckets of relative positions, and thin Q factors.
"""

import argparse
import json
from pathlib import Path

import torch
from diffusers.models.transformers.transformer_wan_animate import WanAnimateFaceEncoder, WanAnimateMotionEncoder
from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel
from transformers.models.umt5.modeling_umt5 import UMT5Attention

from checkpoint import randomize, store_as
from parts import write

UMT5_SIZES = {"vocab_size": 11, "d_model": 10, "d_kv": 5, "d_ff": 8, "num_layers": 2, "num_heads": 4, "dropout_rate": 0.0}
FACE = {
    "num_attention_heads": 2,
    "attention_head_dim": 6,
    "motion_encoder_channel_sizes": {"19": 3, "8": 5, "4": 6},
    "motion_encoder_size": 19,
    "motion_style_dim": 6,
    "motion_dim": 7,
    "motion_encoder_dim": 9,
    "motion_encoder_batch_size": 2,
    "face_encoder_hidden_dim": 6,
    "face_encoder_num_heads": 3,
}


def weights(model: torch.nn.Module, prefix: str = "") -> dict[str, torch.Tensor]:
    return {f"weights.{prefix}{name}": tensor for name, tensor in model.state_dict().items()}


def text_encoder(dtype: torch.dtype, **settings) -> tuple[dict, dict]:
    """The feed-forward layers' inner values leave the range of f16, as they do in the real model."""
    config = UMT5Config(**UMT5_SIZES, **settings)
    model = randomize(UMT5EncoderModel(config), 21)
    for name, parameter in model.named_parameters():
        if ".wi" in name:
            parameter *= 3e4 if name.endswith("wi.weight") else 300
        elif ".wo." in name:
            parameter *= 2e-5
    store_as(model, dtype)
    tensors = weights(model)
    ids = torch.arange(30)[None] * 7 % config.vocab_size
    hidden = model.float()(ids).last_hidden_state
    return config.to_dict(), {**tensors, "input_ids": ids, "last_hidden_state": hidden[0]}


def image_encoder() -> tuple[dict, dict]:
    """The patches leave a border of the image unseen; the positions' numbers are stored, as older transformers did."""
    config = CLIPVisionConfig(
        hidden_size=12,
        intermediate_size=14,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=17,
        patch_size=5,
        hidden_act="gelu_new",
        layer_norm_eps=1e-3,
    )
    model = randomize(CLIPVisionModel(config), 22)
    pixels = torch.randn(1, 3, 17, 17, generator=torch.Generator().manual_seed(23))
    hidden = model(pixel_values=pixels, output_hidden_states=True).hidden_states[-2]
    numbers = {"weights.embeddings.position_ids": torch.arange(10)[None]}
    return config.to_dict(), {**weights(model), **numbers, "pixel_values": pixels[0], "image_embeds": hidden[0]}


def face() -> tuple[dict, dict]:
    """Frames of 19 pixels, which halve to 9 and 4; motions of 1, 2, 5 and 9 frames."""
    motion_encoder = WanAnimateMotionEncoder(
        size=FACE["motion_encoder_size"],
        style_dim=FACE["motion_style_dim"],
        motion_dim=FACE["motion_dim"],
        out_dim=FACE["motion_encoder_dim"],
        channels=FACE["motion_encoder_channel_sizes"],
    )
    face_encoder = WanAnimateFaceEncoder(
        in_dim=FACE["motion_encoder_dim"],
        out_dim=FACE["num_attention_heads"] * FACE["attention_head_dim"],
        hidden_dim=FACE["face_encoder_hidden_dim"],
        num_heads=FACE["face_encoder_num_heads"],
    )
    both = torch.nn.ModuleDict({"motion_encoder": motion_encoder, "face_encoder": face_encoder})
    randomize(both, 24)
    frames = torch.empty(9, 3, 19, 19).uniform_(-1, 1, generator=torch.Generator().manual_seed(25))
    motion = motion_encoder(frames)
    tensors = {f"tokens_{count}": face_encoder(motion[None, :count])[0] for count in (1, 2, 5, 9)}
    return FACE, {**weights(both), "frames": frames.permute(0, 2, 3, 1), "motion": motion, **tensors}


def positions() -> dict[str, torch.Tensor]:
    """Buckets of the keys -511 to 511 tokens away, for some (buckets, greatest distance)."""
    tensors = {}
    for buckets, distance in ((32, 128), (32, 9), (10, 11), (4, 2), (7, 500), (64, 512)):
        config = UMT5Config(relative_attention_num_buckets=buckets, relative_attention_max_distance=distance)
        attention = UMT5Attention(config, has_relative_attention_bias=True, layer_idx=0)
        tensors[f"{buckets}.{distance}"] = attention._relative_position_bucket(torch.arange(-511, 512))
    return tensors


def qr() -> dict[str, torch.Tensor]:
    """Matrices and their thin Q factors: tall, square, wide, and with columns of zeros."""
    generator = torch.Generator().manual_seed(26)
    cases = {f"{m}x{n}": torch.randn(m, n, generator=generator) for m, n in ((512, 20), (7, 7), (1, 1), (5, 1), (3, 5))}
    cases["zero_column"] = torch.randn(6, 4, generator=generator)
    cases["zero_column"][:, 1] = 0
    cases["triangular"] = torch.triu(torch.randn(5, 3, generator=generator))
    cases["zeros"] = torch.zeros(4, 3)
    cases["dependent"] = torch.randn(6, 1, generator=generator) * torch.tensor([[1.0, 2.0, -3.0]])
    factors = {f"{name}.q": torch.linalg.qr(matrix)[0] for name, matrix in cases.items()}
    return {**{f"{name}.matrix": matrix for name, matrix in cases.items()}, **factors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "goldens" / "variants")
    out = parser.parse_args().out
    torch.set_num_threads(1)  # sums do not depend on how many cores there are
    torch.set_grad_enabled(False)
    few = {"relative_attention_num_buckets": 10, "relative_attention_max_distance": 11}
    variants = {
        "umt5_relu": text_encoder(torch.bfloat16, feed_forward_proj="relu", **few),
        "umt5_silu": text_encoder(torch.float16, feed_forward_proj="gated-silu"),
        "clip": image_encoder(),
        "face": face(),
        "positions": ({}, positions()),
        "qr": ({}, qr()),
    }
    for name, (config, tensors) in variants.items():
        write(tensors, out / f"{name}.safetensors")
        if config:
            (out / f"{name}.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

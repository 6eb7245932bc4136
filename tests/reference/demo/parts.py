"""The parts of the demo's checkpoint: what is trained is built here, what is not (text and image encoder, tokenizer)
has random weights."""

import sys
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanAnimatePipeline, WanAnimateTransformer3DModel
from PIL import Image

import face

sys.path.append(str(Path(__file__).parent.parent))
import checkpoint  # noqa: E402

PROMPT = "视频中的人在做动作"
TEXT_LENGTH = 512

SPEC = checkpoint.Spec(
    seed=5,
    heads=5,
    head_dim=32,
    layers=4,
    ffn_dim=480,
    freq_dim=64,
    motion_size=face.SIZES["size"],
    motion_channels=face.SIZES["channels"],
    motion_style_dim=face.SIZES["style_dim"],
    motion_dim=face.SIZES["motion_dim"],
    motion_out_dim=face.SIZES["out_dim"],
    face_hidden_dim=48,
    face_heads=4,
    inject_every=2,
    text_dim=32,
    text_heads=4,
    text_ffn_dim=64,
    clip_dim=32,
    clip_heads=4,
    clip_layers=3,
    clip_ffn_dim=96,
    clip_size=32,
    clip_patch=16,
    scheduler={**checkpoint.UNIPC, "flow_shift": 5.0},
)


def transformer() -> WanAnimateTransformer3DModel:
    torch.manual_seed(SPEC.seed)
    model = checkpoint.transformer(SPEC)
    for block in model.blocks:
        look_in_place(block.attn1, model.rope)
    return model


@torch.no_grad()
def look_in_place(attention: torch.nn.Module, rope: torch.nn.Module, heads: int = 3, pull: float = 4.0) -> None:
    """Some heads begin by looking at the same place of all frames: the fastest pairs of height and width are given a bias."""
    for bias in (attention.to_q.bias, attention.to_k.bias):
        by_head = bias.view(attention.heads, -1)
        by_head[:heads, rope.t_dim] += pull
        by_head[:heads, rope.t_dim + rope.h_dim] += pull


class ImageEncoder:
    """An image to the hidden states that the transformer is shown, [tokens, channels]."""

    def __init__(self):
        self.model = checkpoint.randomize(checkpoint.image_encoder(SPEC), 1000 * SPEC.seed + 1)
        checkpoint.store_as(self.model, torch.float16)
        self.model.float()
        self.processor = checkpoint.image_processor(SPEC)

    @torch.no_grad()
    def __call__(self, image: Image.Image) -> torch.Tensor:
        pixels = self.processor(images=image, return_tensors="pt")
        return self.model(**pixels, output_hidden_states=True).hidden_states[-2][0]


def pipeline(vae: AutoencoderKLWan, model: WanAnimateTransformer3DModel) -> WanAnimatePipeline:
    with tempfile.TemporaryDirectory() as folder:
        words = checkpoint.tokenizer(Path(folder))
    text = checkpoint.randomize(checkpoint.text_encoder(SPEC, len(words)), 1000 * SPEC.seed)
    checkpoint.store_as(text, torch.float16)
    return WanAnimatePipeline(
        tokenizer=words,
        scheduler=checkpoint.scheduler(SPEC),
        image_processor=checkpoint.image_processor(SPEC),
        text_encoder=text.float(),
        image_encoder=ImageEncoder().model,
        vae=vae,
        transformer=model,
    )


@torch.no_grad()
def prompt() -> torch.Tensor:
    """The default prompt's embeddings, [tokens, channels], without the zeros that fill them up to `TEXT_LENGTH`."""
    pipe = pipeline(None, None)
    length = len(pipe.tokenizer(PROMPT)["input_ids"])
    return pipe.encode_prompt(PROMPT, do_classifier_free_guidance=False)[0][0, :length].float()

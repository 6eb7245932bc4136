"""Tiny random checkpoints of Wan-Animate-2 in the modular layout of diffusers, and runs of them.

    python animate2.py KIND OUT [--seed 0] [--dtype f32|bf16|f16] [--max-shard-size 100KB]

Kinds are `base` and `distilled`, which differ in their index alone. diffusers 0.42.1 leaves out what the official code does to scores of the
first generated frame (`log_scale`); `run` adds it where the settings have it. It also passes through the block that diffusers leaves out without a
prompt where they say so (`skip_block`).
"""

import argparse
import contextlib
import functools
import json
import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import WanAnimate2Transformer3DModel
from diffusers.models.transformers import transformer_wan_animate_2 as model
from diffusers.modular_pipelines.wan_animate_2 import denoise
from diffusers.modular_pipelines import WanAnimate2Blocks, WanAnimate2DistilledBlocks
from PIL import Image

import checkpoint
from checkpoint import DPMPP, Spec

Tensors = dict[str, torch.Tensor]
BLOCKS = {"base": WanAnimate2Blocks, "distilled": WanAnimate2DistilledBlocks}


@dataclass(frozen=True)
class Animate2Spec(Spec):
    """Sizes of a tiny checkpoint. From ten layers on there is one that the unconditional pass leaves out."""

    kind: str = "base"
    seed: int = 40
    layers: int = 11
    vae_mult: tuple = (1, 1, 1, 1)
    clip_size: int = 224  # the pipeline makes images of this size, whatever CLIP's
    clip_patch: int = 16
    scheduler: dict = None

    def __post_init__(self):
        if self.scheduler is None:
            object.__setattr__(self, "scheduler", {**DPMPP, "flow_shift": 5.0})


def transformer(spec: Animate2Spec) -> WanAnimate2Transformer3DModel:
    # The class has CLIP's width of 1280 written into it, of which two matrices would outweigh all others.
    proj = model.MLPProj
    model.MLPProj = lambda _width, dim: proj(spec.clip_dim, dim)
    made = WanAnimate2Transformer3DModel(
        in_dim=2 * spec.z_dim + 4,
        dim=spec.heads * spec.head_dim,
        ffn_dim=spec.ffn_dim,
        freq_dim=spec.freq_dim,
        text_dim=spec.text_dim,
        out_dim=spec.z_dim,
        num_heads=spec.heads,
        num_layers=spec.layers,
        eps=spec.eps,
    )
    model.MLPProj = proj
    return made


def draw(name: str, parameter: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    if name.endswith("modulation"):
        return 0.5 * torch.randn(parameter.shape, generator=generator)
    gain = 3.0 if "text_embedding.2.weight" in name else 0.5 if "time_projection" in name else 1.0
    return gain * checkpoint.draw(name, parameter, generator)


@torch.no_grad()
def pipeline(spec: Animate2Spec):
    """The pipeline of `spec` with random weights, in f32 on the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        words = checkpoint.tokenizer(Path(folder))
    parts = {
        "text_encoder": checkpoint.text_encoder(spec, len(words)),
        "image_encoder": checkpoint.image_encoder(spec),
        "vae": checkpoint.vae(spec),
    }
    for index, part in enumerate(parts.values()):
        checkpoint.randomize(part, 1000 * spec.seed + index)
    dit = transformer(spec)
    generator = torch.Generator().manual_seed(1000 * spec.seed + len(parts))
    for name, parameter in sorted(dit.named_parameters()):
        parameter.copy_(draw(name, parameter, generator))
    pipe = BLOCKS[spec.kind]().init_pipeline()
    pipe.update_components(tokenizer=words, scheduler=checkpoint.scheduler(spec), transformer=dit.eval(), **parts)
    return pipe


def save(pipe, folder: Path, dtype: str = "f32", max_shard_size: str = "10GB") -> None:
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            checkpoint.store_as(part, checkpoint.DTYPES[dtype])
    folder.mkdir(parents=True, exist_ok=True)
    pipe.save_pretrained(str(folder), max_shard_size=max_shard_size, overwrite_modular_index=True)
    index = folder / "modular_model_index.json"
    index.write_text(index.read_text().replace(json.dumps(str(folder)), "null"))  # a path of this machine
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint.tokenizer(Path(scratch))
        (folder / "tokenizer" / "spiece.model").write_bytes((Path(scratch) / "spiece.model").read_bytes())


def without_compiler(make):
    """Masks of blocks without the compiler that diffusers asks for."""
    return lambda *arguments, **options: make(*arguments, **{**options, "_compile": False})


def biased(scale: float, tokens: list[int]):
    """Attention of the generation pass as officially, with `scale` added to the scores of the first generated frame's keys."""

    def attend(query, key, value, attn_mask=None, **options):
        if attn_mask is None:
            return model_attention(query, key, value, attn_mask=None, **options)
        heads = [tensor.transpose(1, 2) for tensor in (query, key, value)]
        rows, keys = torch.arange(query.shape[1])[:, None], torch.arange(key.shape[1])[None, :]
        seen = attn_mask.mask_mod(0, 0, rows, keys)
        first = (keys >= tokens[0]) & (keys < 2 * tokens[0])
        scores = heads[0] @ heads[1].mT / math.sqrt(query.shape[-1]) + scale * first
        weights = scores.masked_fill(~seen, -math.inf).softmax(-1).nan_to_num(0.0)
        return (weights @ heads[2]).transpose(1, 2)

    return attend


model_attention = model.dispatch_attention_fn


@contextlib.contextmanager
def official(settings: dict, width: int, height: int):
    """The lines of the official code that diffusers lacks, and what runs on the CPU."""
    make = model.create_block_mask
    model.create_block_mask = without_compiler(make)
    if settings["log_scale"]:
        model.dispatch_attention_fn = biased(settings["log_scale"], [width * height // 256])
    yield
    model.create_block_mask, model.dispatch_attention_fn = make, model_attention


def run(pipe, settings: dict, root: Path) -> tuple[Tensors, Tensors]:
    """The noise of each segment, and the expected frames with the tensors on the way. Paths are relative to `root`."""
    noise, steps, caches = [], [], []
    draw_noise, forward = denoise.randn_tensor, WanAnimate2Transformer3DModel.forward

    def recorded(*arguments, **options):
        noise.append(draw_noise(*arguments, **options))
        return noise[-1].clone()

    @functools.wraps(forward)  # the pipeline looks at its signature
    def watched(self, hidden_states, **options):
        if not settings["skip_block"]:
            options["is_uncondtion"] = False  # says nothing but that a block is left out
        result = forward(self, hidden_states, **options)
        if options["kv_cache_mode"] == "cached":
            steps.append(result.sample[0].clone())
        else:
            caches.append(result.sample[0].clone())
        return result

    paths = sorted((root / settings["driving"]).iterdir())[: settings["num_frames"]]
    denoise.randn_tensor, WanAnimate2Transformer3DModel.forward = recorded, watched
    pipe.guider.guidance_scale = settings["guidance_scale"]
    keys = ("prompt", "negative_prompt", "width", "height", "num_inference_steps", "segment_frame_length", "driving_video_fps")
    image = Image.open(root / settings["reference"]).convert("RGB")
    with official(settings, settings["canvas_width"], settings["canvas_height"]), torch.no_grad():
        frames = pipe(
            image=image,
            driving_video=[Image.open(path).convert("RGB") for path in paths],
            generator=torch.Generator().manual_seed(settings["seed"]),
            output="videos",
            **{key: settings[key] for key in keys},
        )
    denoise.randn_tensor, WanAnimate2Transformer3DModel.forward = draw_noise, forward
    expected = {"frames": torch.from_numpy(frames[0]), "timesteps": pipe.scheduler.timesteps.float()}
    expected |= {f"velocity_{index}": step for index, step in enumerate(steps[:2])} | {"reference_pass": caches[0]}
    return {f"segment_{index}": latents for index, latents in enumerate(noise)}, expected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=BLOCKS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=40)
    parser.add_argument("--dtype", choices=checkpoint.DTYPES, default="f32")
    parser.add_argument("--max-shard-size", default="10GB")
    arguments = parser.parse_args()
    spec = replace(Animate2Spec(), kind=arguments.kind, seed=arguments.seed)
    save(pipeline(spec), arguments.out, arguments.dtype, arguments.max_shard_size)


if __name__ == "__main__":
    main()

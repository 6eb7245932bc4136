"""Tiny random checkpoints of the Wan2.2 family beside Animate, and runs of them through diffusers.

Kinds: `t2v` and `i2v` have two experts where `boundary_ratio` is set; `i2v` with `clip` is the layout of Wan2.1, with
`last_image` its first-last-frame variant; `ti2v` has VAE 2.2 and one timestep a token, and takes an image or none.

    python family.py KIND OUT [--seed 0] [--dtype f32|bf16|f16] [--max-shard-size 100KB]
"""

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import DiffusionPipeline, WanImageToVideoPipeline, WanPipeline, WanTransformer3DModel
from PIL import Image

import checkpoint
from checkpoint import Spec

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class FamilySpec(Spec):
    """Sizes of a tiny checkpoint of the family."""

    kind: str = "t2v"
    boundary_ratio: float | None = None
    clip: bool = False
    last_image: bool = False


SMALL = {"vae_mult": (1, 1, 1, 1)}
VAE_22 = {"z_dim": 48, "vae_residual": True, "vae_patch": 2, "vae_decoder_dim": 8, "vae_mult": (1, 1, 2, 2)}
KINDS = {
    "t2v": FamilySpec(seed=20, kind="t2v", boundary_ratio=0.875, **SMALL),
    "i2v": FamilySpec(seed=21, kind="i2v", boundary_ratio=0.9, **SMALL),
    "i2v_clip": FamilySpec(seed=22, kind="i2v", clip=True, **SMALL),
    "flf_clip": FamilySpec(seed=23, kind="i2v", clip=True, last_image=True, **SMALL),
    "ti2v": FamilySpec(seed=24, kind="ti2v", **VAE_22),
}


def clip_tokens(spec: Spec) -> int:
    return (spec.clip_size // spec.clip_patch) ** 2 + 1


def transformer(spec: FamilySpec) -> WanTransformer3DModel:
    image = {}
    if spec.clip:
        image = {"image_dim": spec.clip_dim, "added_kv_proj_dim": spec.heads * spec.head_dim}
    if spec.clip and spec.last_image:
        image["pos_embed_seq_len"] = 2 * clip_tokens(spec)
    return WanTransformer3DModel(
        num_attention_heads=spec.heads,
        attention_head_dim=spec.head_dim,
        in_channels=2 * spec.z_dim + 4 if spec.kind == "i2v" else spec.z_dim,
        out_channels=spec.z_dim,
        text_dim=spec.text_dim,
        freq_dim=spec.freq_dim,
        ffn_dim=spec.ffn_dim,
        num_layers=spec.layers,
        eps=spec.eps,
        **image,
    )


def pipeline(spec: FamilySpec) -> DiffusionPipeline:
    """The pipeline of `spec` with random weights, in f32 on the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        words = checkpoint.tokenizer(Path(folder))
    parts = {
        "text_encoder": checkpoint.text_encoder(spec, len(words)),
        "image_encoder": checkpoint.image_encoder(spec) if spec.clip else None,
        "vae": checkpoint.vae(spec),
        "transformer": transformer(spec),
        "transformer_2": transformer(spec) if spec.boundary_ratio is not None else None,
    }
    for index, model in enumerate(parts.values()):
        if model is not None:
            checkpoint.randomize(model, 1000 * spec.seed + index)
    options = {"boundary_ratio": spec.boundary_ratio, "expand_timesteps": spec.kind == "ti2v"}
    parts |= {"tokenizer": words, "scheduler": checkpoint.scheduler(spec)}
    if spec.kind == "i2v":
        parts["image_processor"] = checkpoint.image_processor(spec) if spec.clip else None
        return WanImageToVideoPipeline(**parts, **options)
    del parts["image_encoder"]
    return WanPipeline(**parts, **options)


def save(spec: FamilySpec, folder: Path, dtype: str = "f32", max_shard_size: str = "10GB") -> None:
    checkpoint.save_pipeline(pipeline(spec), folder, dtype, max_shard_size)


def load(folder: Path, with_image: bool) -> DiffusionPipeline:
    """The checkpoint as stored, computed in f32. The class follows from whether there is an image, as for users."""
    kind = WanImageToVideoPipeline if with_image else WanPipeline
    pipe = kind.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


class Recorder:
    """Keeps what the pipeline computes on the way to the frames."""

    def __init__(self, pipe: DiffusionPipeline):
        self.pipe = pipe
        self.prepare_latents = pipe.prepare_latents
        self.noise: torch.Tensor | None = None
        self.tensors: Tensors = {}
        self.experts: list[int] = []
        self.hooks = []

    def __enter__(self):
        self.pipe.prepare_latents = self._prepared
        for index, expert in enumerate((self.pipe.transformer, self.pipe.transformer_2)):
            if expert is not None:
                self.hooks.append(expert.register_forward_hook(self._used(index)))
        if getattr(self.pipe, "image_encoder", None) is not None:
            self.hooks.append(self.pipe.image_encoder.register_forward_hook(self._embedded))
        return self

    def __exit__(self, *_error):
        self.pipe.prepare_latents = self.prepare_latents
        for hook in self.hooks:
            hook.remove()

    def _prepared(self, *arguments, **options):
        result = self.prepare_latents(*arguments, **options)
        noise, *rest = result if isinstance(result, tuple) else (result,)
        self.noise = noise.clone()
        if rest:
            self.tensors["segment_0.condition"] = rest[0][0].clone()
        return result

    def _used(self, index: int):
        def record(*_):
            self.experts.append(index)

        return record

    def _embedded(self, _module, _inputs, output):
        self.tensors["image_embeds"] = output.hidden_states[-2].clone()

    def step(self, _pipe, index, _timestep, values):
        self.tensors[f"segment_0.step_{index}"] = values["latents"][0].clone()
        return {}


def run(pipe: DiffusionPipeline, settings: dict, root: Path) -> tuple[Tensors, Tensors]:
    """The noise, and the expected frames with the tensors on the way. Paths are relative to `root`."""
    keys = ("prompt", "negative_prompt", "width", "height", "num_frames", "num_inference_steps", "guidance_scale")
    options = {key: settings[key] for key in (*keys, "guidance_scale_2")}
    names = [name for name in ("image", "last_image") if settings[name]]
    images = {name: Image.open(root / settings[name]).convert("RGB") for name in names}
    with Recorder(pipe) as recorder:
        output = pipe(
            **images,
            **options,
            generator=torch.Generator().manual_seed(settings["seed"]),
            callback_on_step_end=recorder.step,
            output_type="np",
        )
    passes = 2 if settings["guidance_scale"] > 1 else 1
    expected = {
        "frames": torch.from_numpy(output.frames[0]),
        "timesteps": pipe.scheduler.timesteps.float(),
        "experts": torch.tensor(recorder.experts[::passes]),
    }
    return {"segment_0": recorder.noise[0]}, {**expected, **recorder.tensors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, help="the kind's own where left out")
    parser.add_argument("--dtype", choices=checkpoint.DTYPES, default="f32")
    parser.add_argument("--max-shard-size", default="10GB")
    arguments = parser.parse_args()
    spec = KINDS[arguments.kind]
    if arguments.seed is not None:
        spec = replace(spec, seed=arguments.seed)
    save(spec, arguments.out, arguments.dtype, arguments.max_shard_size)


if __name__ == "__main__":
    main()

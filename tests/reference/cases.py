"""Random tiny Wan-Animate checkpoints, inputs and settings for compare.py, each fixed by its seed."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import DiffusionPipeline, WanAnimatePipeline
from safetensors.torch import save_file

import checkpoint
import run
import scene
from checkpoint import DPMPP, EULER, UNIPC, Spec

MULTIPLIERS = [(1, 2, 4, 4), (1, 2, 3, 3), (1, 1, 2, 2), (2, 1, 1, 2), (1, 3, 2, 1), (1, 1, 1, 1), (3, 2, 1, 2)]
PROMPTS = [
    "视频中的人在做动作",
    "a person dances in the park and waves both hands",
    "Ａ  fox, “quick” &amp; brown!",
    "the lazy dog " * 30,
]


def random_scheduler(source: random.Random) -> dict:
    shift = source.choice([1.0, 2.5, 3.0, 5.0, 8.0, 12.0])
    kind = source.choice([UNIPC, DPMPP, EULER])
    return {**kind, ("shift" if kind is EULER else "flow_shift"): shift}


def random_spec(source: random.Random, seed: int) -> Spec:
    """Sizes that are seldom multiples of four; layers stay a multiple of the face adapters' interval."""
    motion_size = source.choice([16, 32, 64])
    inject_every = source.choice([1, 2, 3])
    text_heads, clip_heads = source.randint(1, 3), source.randint(1, 3)
    base = source.randint(3, 10)
    multipliers = [mult for mult in MULTIPLIERS if base * max(mult) <= 24]
    return Spec(
        seed=seed,
        heads=source.randint(1, 4),
        head_dim=source.choice([10, 12, 14, 16, 18, 22, 24, 32, 40, 48, 64]),
        layers=inject_every * source.randint(1, 2),
        ffn_dim=source.randint(20, 90),
        freq_dim=2 * source.randint(8, 40),
        motion_size=motion_size,
        motion_channels={str(side): source.randint(4, 10) for side in (4, 8, 16, 32, 64) if side <= motion_size},
        motion_style_dim=source.randint(10, 30),
        motion_dim=source.randint(3, 10),
        motion_out_dim=source.randint(10, 30),
        face_hidden_dim=source.randint(6, 20),
        face_heads=source.randint(1, 4),
        inject_every=inject_every,
        text_dim=source.randint(10, 30),
        text_heads=text_heads,
        text_head_dim=2 * source.randint(3, 8),
        text_ffn_dim=source.randint(15, 40),
        text_layers=source.randint(1, 3),
        clip_dim=2 * clip_heads * source.randint(4, 9),
        clip_heads=clip_heads,
        clip_layers=source.randint(2, 4),
        clip_ffn_dim=source.randint(20, 50),
        clip_size=source.choice([28, 42, 56]),
        clip_act=source.choice(["gelu", "quick_gelu"]),
        vae_dim=base,
        vae_mult=source.choice(multipliers),
        vae_res_blocks=source.randint(1, 2),
        z_dim=source.choice([16, 16, 16, 8]),
        scheduler=random_scheduler(source),
    )


def random_settings(source: random.Random, spec: Spec) -> dict:
    """Two segments or more; the overlap stays below the frames that a segment adds, as the reference requires."""
    overlap = source.choice([1, 5])
    segment = source.choice([5, 9, 13] if overlap == 1 else [13, 17])
    frames = source.randint(segment + 1, 2 * segment - overlap + (segment == 5) * 4)
    guidance = source.choice([1.0, round(source.uniform(1.2, 4.0), 2)])
    replace = source.random() < 0.4
    return {
        "mode": "replace" if replace else "animate",
        "num_frames": frames,
        "segment_frame_length": segment,
        "prev_segment_conditioning_frames": overlap,
        "num_inference_steps": source.randint(1, 6),
        "guidance_scale": guidance,
        "prompt": source.choice(PROMPTS),
        "negative_prompt": source.choice(["", "blurry, worst quality", "色调艳丽，过曝"]),
        "seed": source.randrange(2**40),
        "width": 16 * source.randint(1, 4),
        "height": 16 * source.randint(1, 4),
        "reference": "reference.png",
        "pose": "pose",
        "face": "face",
        "background": "background" if replace else None,
        "mask": "mask" if replace else None,
        "noise": "noise.safetensors" if source.random() < 0.75 else None,
        "shift": source.choice([None, None, None, 4.0]),
    }


def write_inputs(source: random.Random, spec: Spec, settings: dict, folder: Path) -> None:
    """One case in three has images of other sizes than the pipeline works with."""
    frames, size, seed = settings["num_frames"], (settings["width"], settings["height"]), spec.seed
    odd = source.random() < 0.33
    side = spec.motion_size + odd * source.choice([-5, 7, 20])
    if odd:
        size = (size[0] + source.randint(-9, 30), size[1] + source.randint(-9, 30))
    portrait = (source.randint(20, 120), source.randint(20, 120))
    scene.reference(portrait, seed).save(folder / "reference.png")
    scene.write(scene.pose(frames, size, seed), folder / "pose")
    scene.write(scene.face(frames, side, seed), folder / "face")
    if settings["mode"] == "replace":
        scene.write(scene.background(frames, size, seed), folder / "background")
        scene.write(scene.mask(frames, size, seed), folder / "mask")


def with_shift(pipe: WanAnimatePipeline, shift: float | None) -> None:
    if shift is not None:
        key = "shift" if "shift" in pipe.scheduler.config else "flow_shift"
        pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, **{key: shift})


def how_far_it_moves(pipe: DiffusionPipeline, make_frames: Callable[[], torch.Tensor]) -> float:
    """Mean |difference| of what `make_frames` gives once the noise of `pipe` has moved by 1e-5."""
    draw = pipe.prepare_latents
    nudge = torch.Generator().manual_seed(0)

    def nudged(*arguments, **options):
        result = draw(*arguments, **options)
        noise, *rest = result if isinstance(result, tuple) else (result,)
        noise = noise + 1e-5 * torch.randn(noise.shape, generator=nudge)
        return (noise, *rest) if rest else noise

    frames = make_frames()
    pipe.prepare_latents = nudged
    moved = make_frames()
    pipe.prepare_latents = draw
    return (moved - frames).abs().mean().item()


def write(settings: dict, noise: run.Tensors, expected: run.Tensors, folder: Path) -> None:
    save_file(noise, folder / "noise.safetensors")
    save_file({name: tensor.contiguous() for name, tensor in expected.items()}, folder / "expected.safetensors")
    (folder / "run.json").write_text(json.dumps(settings, ensure_ascii=False, indent=1), encoding="utf-8")


def random_storage(source: random.Random) -> dict:
    storage = {"dtype": source.choice(["f32", "f32", "bf16", "f16"])}
    if source.random() < 0.3:
        storage["max_shard_size"] = "60KB"
    return storage


def describe(settings: dict, spec: Spec) -> str:
    keys = ("mode", "num_frames", "segment_frame_length", "prev_segment_conditioning_frames", "num_inference_steps")
    mode, frames, segment, overlap, steps = (settings[key] for key in keys)
    run_words = f"{mode} {settings['width']}x{settings['height']} {frames} frames, segments {segment}-{overlap}"
    run_words += f", {spec.scheduler['class'][:5]} {steps} steps, guidance {settings['guidance_scale']}"
    mult = ",".join(map(str, spec.vae_mult))
    return f"{run_words}, heads {spec.heads}x{spec.head_dim}, VAE {spec.vae_dim}x({mult})"


def prepare(seed: int, folder: Path) -> tuple[dict, str]:
    """Writes a case to `folder` with the reference's frames. Returns its settings, and what it is in words."""
    source = random.Random(seed)
    spec = random_spec(source, seed)
    settings = random_settings(source, spec)
    folder.mkdir(parents=True, exist_ok=True)
    write_inputs(source, spec, settings, folder)
    storage = random_storage(source)
    checkpoint.save(spec, folder / "model", **storage)
    pipe = run.load(folder / "model")
    with_shift(pipe, settings["shift"])
    noise, expected = run.run(pipe, settings, folder)
    settings["moves"] = how_far_it_moves(pipe, lambda: run.run(pipe, settings, folder)[1]["frames"])
    settings |= {"spec": repr(spec), "storage": storage}
    write(settings, noise, expected, folder)
    return settings, describe(settings, spec)

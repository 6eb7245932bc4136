"""Random tiny checkpoints of text- and image-to-video for compare.py, with inputs and settings, each fixed by its seed."""

import random
from pathlib import Path

import cases
import family
import scene
from family import FamilySpec

BOUNDARIES = {"t2v": 0.875, "i2v": 0.9}
# What the averages of VAE 2.2 allow: widths that change by powers of two.
MULTIPLIERS_22 = [(1, 2, 4, 4), (1, 1, 2, 2), (2, 2, 1, 1), (1, 4, 2, 1), (1, 1, 1, 1), (1, 2, 2, 2)]
TEMPORAL = [(False, True, True), (False, True, True), (True, True, False), (True, False, True)]


def random_vae(source: random.Random) -> dict:
    base, decoder = source.sample(range(3, 9), 2)
    multipliers = [mult for mult in MULTIPLIERS_22 if max(base, decoder) * max(mult) <= 24]
    return {
        "vae_dim": base,
        "vae_decoder_dim": decoder,
        "vae_mult": source.choice(multipliers),
        "vae_temporal": source.choice(TEMPORAL),
        "vae_residual": True,
        "vae_patch": 2,
        "z_dim": source.choice([48, 48, 12, 7]),
    }


def random_spec(source: random.Random, kind: str, seed: int) -> FamilySpec:
    """Two cases in three of `t2v` and `i2v` have two experts, as Wan2.2 has; the others of `i2v` have CLIP, as Wan2.1 has."""
    changes = {"kind": kind}
    if kind == "ti2v":
        changes |= random_vae(source)
    elif source.random() < 0.67:
        changes["boundary_ratio"] = BOUNDARIES[kind]
    elif kind == "i2v":
        changes |= {"clip": True, "last_image": source.random() < 0.5}
    return FamilySpec(**{**vars(cases.random_spec(source, seed)), **changes})


def random_settings(source: random.Random, spec: FamilySpec) -> dict:
    unit = 32 if spec.kind == "ti2v" else 16
    guidance = [round(source.uniform(1.2, 4.0), 2) for _ in range(2)]
    experts = spec.boundary_ratio is not None
    image = spec.kind == "i2v" or spec.kind == "ti2v" and source.random() < 0.5
    last_image = spec.last_image or spec.kind == "i2v" and experts and source.random() < 0.3
    return {
        "mode": spec.kind,
        "num_frames": source.choice([5, 5, 9, 13] if last_image else [1, 5, 9, 13]),
        "num_inference_steps": source.randint(2, 6),
        "guidance_scale": source.choice([guidance[0], guidance[0], 1.0]),
        "guidance_scale_2": source.choice([guidance[1], guidance[1], None]) if experts else None,
        "prompt": source.choice(cases.PROMPTS),
        "negative_prompt": source.choice(["", "blurry, worst quality", "色调艳丽，过曝"]),
        "seed": source.randrange(2**40),
        "width": unit * source.randint(1, 3),
        "height": unit * source.randint(1, 3),
        "image": "image.png" if image else None,
        "last_image": "last_image.png" if last_image else None,
        "noise": "noise.safetensors" if source.random() < 0.75 else None,
    }


def write_inputs(source: random.Random, spec: FamilySpec, settings: dict, folder: Path) -> None:
    for index, name in enumerate(("image", "last_image")):
        if settings[name]:
            size = (source.randint(20, 120), source.randint(20, 120))
            scene.reference(size, 2 * spec.seed + index).save(folder / settings[name])


def describe(settings: dict, spec: FamilySpec) -> str:
    keys = ("mode", "width", "height", "num_frames", "num_inference_steps", "guidance_scale", "guidance_scale_2")
    mode, width, height, frames, steps, *guidance = (settings[key] for key in keys)
    images = " ".join(name for name in ("image", "last_image") if settings[name]) or "no image"
    layout = "CLIP" if spec.clip else f"boundary {spec.boundary_ratio}"
    mult = ",".join(map(str, spec.vae_mult))
    run_words = f"{mode} {width}x{height} {frames} frames, {images}, {spec.scheduler['class'][:5]} {steps} steps"
    model_words = f"{layout}, heads {spec.heads}x{spec.head_dim}, VAE {spec.vae_dim}/{spec.vae_decoder_dim}x({mult})"
    return f"{run_words}, guidance {guidance}, {model_words}"


def prepare(kind: str, seed: int, folder: Path) -> tuple[dict, str]:
    """Writes a case to `folder` with the reference's frames. Returns its settings, and what it is in words."""
    source = random.Random(f"{kind} {seed}")
    spec = random_spec(source, kind, seed)
    settings = random_settings(source, spec)
    folder.mkdir(parents=True, exist_ok=True)
    write_inputs(source, spec, settings, folder)
    storage = cases.random_storage(source)
    family.save(spec, folder / "model", **storage)
    pipe = family.load(folder / "model", with_image=settings["image"] is not None)
    noise, expected = family.run(pipe, settings, folder)
    settings["moves"] = cases.how_far_it_moves(pipe, lambda: family.run(pipe, settings, folder)[1]["frames"])
    settings |= {"spec": repr(spec), "storage": storage, "experts": expected["experts"].tolist()}
    cases.write(settings, noise, expected, folder)
    return settings, describe(settings, spec)

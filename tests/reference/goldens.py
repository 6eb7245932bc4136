"""Makes everything under tests/goldens/: tiny checkpoints, inputs and outputs of each part, and whole runs.

    python goldens.py [--out ../goldens]

Checkpoints: `tiny` has sizes that are multiples of four, `odd` has none, `sharded` is stored in bf16 over several
files. Parts: one file a model and checkpoint (see parts.py). Runs: `run.json` holds the settings, `noise.safetensors`
the initial noise of each segment, `expected.safetensors` the frames [F, H, W, 3] in [0, 1] and the tensors in between.

What WanAnimatePipeline does, as these runs show it (S frames a segment, r carried frames, H x W pixels):
- Frames: the pose video sets the length F. All videos are brought to F' = F + (-(F - r) mod (S - r)) frames by going
  back and forth without repeating the ends; the result is cut to F. There are F' // (S - r) segments, which is right
  only while r < S - r: otherwise the pipeline stops on an assertion. It fails for F <= r too, having no segment.
- Images: 8-bit Lanczos (the "bilinear" asked for the reference is lost: the base class resets it to its default).
  The reference is letterboxed on black, pasted at (W // 2 - w // 2, H // 2 - h // 2); videos are stretched. Then
  x / 255 * 2 - 1; masks are turned grey and stay in [0, 1], unthresholded. CLIP sees the original reference through
  image_processor: bicubic to the shortest edge, centre crop, mean and deviation.
- Noise: one generator, torch.randn([1, C, (S - 1) / 4 + 2, H / 8, W / 8]) in f32 at the start of each segment. Nothing
  else draws: the VAE gives the mode of its posterior.
- Latents: (mode - mean) * (1 / std); back: latents / (1 / std) + mean.
- Conditioning of latent frame 0: mask 1 and the reference. Of the others: the carried frames (none in the first
  segment), then zeros (animate) or the background from its frame r on (replace), S frames encoded together.
- Mask of those: 0 (animate) or 1 - mask at pixel (8 y, 8 x) (replace); 1 for the r first frames from the second segment
  on; then the first frame four times and the S - 1 others, folded by four into channels.
- Text: cleaned by ftfy (which also straightens quotes, splits ligatures and narrows full-width forms), HTML unescaped
  twice, whitespace collapsed; 512 tokens; embeddings beyond the mask are zero. A missing negative prompt is "".
- Guidance above 1: unconditional + scale * (conditional - unconditional), with a face of -1 in the unconditional pass.
- Each segment sets the timesteps anew, so no solver history crosses a segment.
- The decoder's output is clamped to [-1, 1]; from the second segment on its first r frames are dropped, and the last r
  of what remains are carried. Frames are x / 2 + 0.5.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import WanAnimatePipeline
from diffusers.utils import logging
from safetensors.torch import load_file, save_file

import checkpoint
import parts
import run
import scene
from checkpoint import DPMPP, EULER, UNIPC, Spec

WIDTH, HEIGHT = 48, 32
NUM_FRAMES = 18

CHECKPOINTS = {
    "tiny": {"spec": Spec(scheduler={**UNIPC, "flow_shift": 5.0})},
    "odd": {
        "spec": Spec(
            seed=1,
            heads=3,
            head_dim=10,
            layers=4,
            ffn_dim=30,
            freq_dim=34,
            motion_size=32,
            motion_channels={"4": 7, "8": 9, "16": 6, "32": 5},
            motion_style_dim=18,
            motion_dim=5,
            motion_out_dim=14,
            face_hidden_dim=7,
            face_heads=3,
            inject_every=2,
            text_dim=18,
            text_heads=3,
            text_head_dim=6,
            text_ffn_dim=30,
            clip_dim=18,
            clip_heads=3,
            clip_ffn_dim=30,
            clip_size=42,
            clip_act="quick_gelu",
            vae_dim=3,
            vae_mult=(1, 2, 3, 3),
            vae_res_blocks=2,
            scheduler={**DPMPP, "flow_shift": 3.0},
        )
    },
    "sharded": {
        "spec": Spec(
            seed=2, heads=1, head_dim=64, vae_dim=10, vae_mult=(1, 1, 1, 1), scheduler={**EULER, "shift": 5.0}
        ),
        "dtype": "bf16",
        "max_shard_size": "80KB",
    },
}

DEFAULTS = {
    "checkpoint": "tiny",
    "mode": "animate",
    "num_frames": 9,
    "segment_frame_length": 5,
    "prev_segment_conditioning_frames": 1,
    "num_inference_steps": 4,
    "guidance_scale": 1.0,
    "prompt": "视频中的人在做动作",
    "negative_prompt": "",
    "seed": 42,
    "width": WIDTH,
    "height": HEIGHT,
    "reference": "inputs/reference.png",
    "pose": "inputs/pose",
    "face": "inputs/face_16",
    "background": None,
    "mask": None,
}
REPLACE = {"mode": "replace", "background": "inputs/background", "mask": "inputs/mask"}
LONG = {"num_frames": 18, "segment_frame_length": 13, "prev_segment_conditioning_frames": 5, "num_inference_steps": 3}
ODD = {"checkpoint": "odd", "face": "inputs/face_32"}

RUNS = {
    "animate": {},
    "animate_guidance": {
        "num_frames": 11,
        "num_inference_steps": 3,
        "guidance_scale": 2.5,
        "prompt": "a person dances in the park and waves both hands",
        "negative_prompt": "blurry, worst quality",
        "seed": 7,
    },
    "animate_overlap_5": {**LONG, "seed": 3},
    "animate_resized": {"num_frames": 6, "pose": "inputs/pose_wide", "face": "inputs/face_20"},
    "replace": {**REPLACE, "seed": 123456789012},
    "odd_animate": {**ODD, "num_inference_steps": 6},
    "odd_replace_overlap_5": {**ODD, **REPLACE, **LONG, "guidance_scale": 2.0, "negative_prompt": "static"},
    "sharded_animate": {"checkpoint": "sharded", "guidance_scale": 1.5},
}


def write_inputs(folder: Path) -> None:
    scene.reference((40, 56), 0).save(_parent(folder / "reference.png"))
    scene.write(scene.pose(NUM_FRAMES, (WIDTH, HEIGHT), 0), folder / "pose")
    scene.write(scene.pose(6, (60, 44), 0), folder / "pose_wide")
    for side, count in ((16, NUM_FRAMES), (20, 6), (32, NUM_FRAMES)):
        scene.write(scene.face(count, side, 0), folder / f"face_{side}")
    scene.write(scene.background(NUM_FRAMES, (WIDTH, HEIGHT), 0), folder / "background")
    scene.write(scene.mask(NUM_FRAMES, (WIDTH, HEIGHT), 0), folder / "mask")


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def add_vision_prefix(folder: Path) -> None:
    """Renames the image encoder's tensors to what transformers 4 wrote: most published checkpoints have these names."""
    path = folder / "image_encoder" / "model.safetensors"
    tensors = {f"vision_model.{name}": tensor for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})


def write_checkpoints(out: Path) -> dict[str, WanAnimatePipeline]:
    pipes = {}
    for name, options in CHECKPOINTS.items():
        checkpoint.save(folder=out / name, **options)
        if name == "odd":
            add_vision_prefix(out / name)
        pipes[name] = run.load(out / name)
    return pipes


def write_parts(pipes: dict[str, WanAnimatePipeline], out: Path) -> None:
    for name in ("tiny", "odd"):
        for part in (parts.text_encoder, parts.image_encoder, parts.vae, parts.transformer, parts.motion_basis):
            parts.write(part(pipes[name]), out / f"{name}_{part.__name__}.safetensors")
    parts.write(parts.images(pipes["tiny"]), out / "images.safetensors")
    parts.write(parts.noise(), out / "noise.safetensors")
    texts = json.dumps(parts.texts(pipes["tiny"]), ensure_ascii=False, indent=1)
    (out / "texts.json").write_text(texts + "\n", encoding="utf-8")


def write_run(pipe: WanAnimatePipeline, settings: dict, root: Path, out: Path) -> None:
    noise, expected = run.run(pipe, settings, root)
    parts.write(noise, out / "noise.safetensors")
    parts.write(expected, out / "expected.safetensors")
    (out / "run.json").write_text(json.dumps(settings, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "goldens")
    out = parser.parse_args().out
    logging.set_verbosity_error()
    torch.set_num_threads(1)  # sums do not depend on how many cores there are
    torch.set_grad_enabled(False)
    for name in (*CHECKPOINTS, "inputs", "parts", "runs"):
        shutil.rmtree(out / name, ignore_errors=True)
    write_inputs(out / "inputs")
    pipes = write_checkpoints(out)
    write_parts(pipes, out / "parts")
    for name, changes in RUNS.items():
        settings = {**DEFAULTS, **changes}
        write_run(pipes[settings["checkpoint"]], settings, out, out / "runs" / name)
        print(name)


if __name__ == "__main__":
    main()

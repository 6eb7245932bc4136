"""Makes tests/goldens/animate2/: tiny checkpoints of Wan-Animate-2, inputs, and whole runs of two segments.

    python animate2_goldens.py [--out ../goldens/animate2]

Files are as goldens.py writes them; `distilled.json` is the index of the same checkpoint as a distilled one. What the modular pipeline does, as these runs show it (S frames a segment, 1 carried, H x W pixels):
- Size: `width * height` is the area; the sides are those of the reference's aspect at that area, each down to a multiple of 16. For this and for
  the crop, not for the letterbox, the reference counts as if its sides were multiples of 16 already.
- Images: the reference is letterboxed by 8-bit bicubic, the driving frames by 8-bit bilinear, both on black, pasted at ((W - w) // 2,
  (H - h) // 2) with w and h rounded down. CLIP sees the letterboxed images in [-1, 1], resized to its side by torch's bicubic, which has
  no antialiasing. The result is cropped to where the reference was.
- Frames: int(F / fps * 24) frames, the nearest of the driving video (round half to even). The last segment is filled by going back, the last frame
  repeated; the result is cut to the length.
- Reference pass, once a segment: latents of the S driving frames, twice with a mask of ones between, at timestep 1, with the prompt that is
  made for it and CLIP's view of the video's first frame. Positions are shifted by a frame, and by the grid's width.
- Steps: (S - 1) / 4 + 2 latent frames, the first the reference's. Their condition: mask and latents of the reference, then of the carried
  frame and zeros, S frames encoded together. Tokens see all of these, and the driving frame before theirs.
- Guidance above 1: the unconditional pass leaves out block 9.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers.utils import logging

import animate2
import checkpoint
import parts
import scene
from animate2 import Animate2Spec

DEFAULTS = {
    "checkpoint": "base",
    "num_frames": 14,
    "driving_video_fps": 24.0,
    "segment_frame_length": 9,
    "num_inference_steps": 3,
    "guidance_scale": 1.0,
    "log_scale": 0.0,
    "skip_block": True,
    "prompt": "a person dances in the park and waves both hands",
    "negative_prompt": "blurry, worst quality",
    "seed": 42,
    "width": 48,
    "height": 48,
    "canvas_width": 32,
    "canvas_height": 48,
    "reference": "inputs/reference.png",
    "driving": "inputs/driving",
}

RUNS = {
    "base": {"guidance_scale": 3.0},
    "every_block": {"guidance_scale": 3.0, "skip_block": False},
    "distilled": {"checkpoint": "distilled", "seed": 7},
    "log_scale": {"checkpoint": "distilled", "log_scale": -1.3},
    "resampled": {
        "num_frames": 18,
        "driving_video_fps": 30.0,
        "guidance_scale": 2.0,
        "log_scale": -1.3,
        "seed": 3,
        "reference": "inputs/tall.png",
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "goldens" / "animate2")
    out = parser.parse_args().out
    logging.set_verbosity_error()
    torch.set_num_threads(1)  # sums do not depend on how many cores there are
    shutil.rmtree(out, ignore_errors=True)
    (out / "inputs").mkdir(parents=True)
    scene.reference((40, 56), 0).save(out / "inputs" / "reference.png")
    scene.reference((48, 80), 1).save(out / "inputs" / "tall.png")
    scene.write(scene.background(18, (60, 44), 0), out / "inputs" / "driving")
    pipes = {kind: animate2.pipeline(Animate2Spec(kind=kind)) for kind in animate2.BLOCKS}
    for kind, pipe in pipes.items():
        animate2.save(pipe, out / kind)
    # The same weights: the index alone is another.
    index = (out / "distilled" / "modular_model_index.json").read_bytes()
    shutil.rmtree(out / "distilled")
    (out / "distilled.json").write_bytes(index)
    for name, changes in RUNS.items():
        settings = {**DEFAULTS, **changes}
        noise, expected = animate2.run(pipes[settings["checkpoint"]], settings, out)
        parts.write(noise, out / "runs" / name / "noise.safetensors")
        parts.write(expected, out / "runs" / name / "expected.safetensors")
        text = json.dumps(settings, ensure_ascii=False, indent=1)
        (out / "runs" / name / "run.json").write_text(text + "\n", encoding="utf-8")
        print(name)


if __name__ == "__main__":
    main()

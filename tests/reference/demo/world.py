"""Clips of the drawn world, each a pure function of its seed.

    python world.py OUT [--clips 3000] [--start 0]    # OUT/clips_*.npz
    python world.py --show FILE [--start 0]           # a picture of some clips
"""

import argparse
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import body
import drawing

FRAMES = 17
HELD_OUT = 1_000_000  # seeds from here on are never trained on


@dataclass
class Clip:
    """Frames are uint8 [F, H, W, 3]; the mask is [F, H, W], 255 where the character is to be drawn."""

    frames: np.ndarray
    pose: np.ndarray
    face: np.ndarray
    background: np.ndarray
    mask: np.ndarray
    reference: np.ndarray  # [H, W, 3]
    state: np.ndarray  # [F, 6] of the face: mouth, eyes, turn, tilt and the head's centre in pixels
    replace: bool


def clip(seed: int, frames: int = FRAMES, replace: bool | None = None, mouth: float | None = None) -> Clip:
    """The clip of `seed`. In replace the reference stands before another background than the clip's; `mouth` holds the
    mouth at a value throughout."""
    source = random.Random(f"clip {seed}")
    drawn = source.random() < 0.4
    replace = drawn if replace is None else replace
    grid = source.choice([1, 4, 8])
    who, motion = body.character(seed), body.Motion(seed)
    scene = drawing.background(seed)
    videos = {name: [] for name in ("frames", "pose", "face", "background", "mask", "state")}
    for frame in range(frames):
        pose = body.pose(who, motion, frame)
        if mouth is not None:
            pose.mouth = mouth
        canvas = scene.copy()
        drawing.paint(who, pose, canvas)
        mask = drawing.mask_box(canvas, scene, grid)
        picture, plain = drawing.shrink(canvas), drawing.shrink(scene)
        plain.paste((0, 0, 0), mask=mask)
        videos["frames"].append(picture)
        videos["pose"].append(drawing.draw_pose(pose))
        videos["face"].append(drawing.face_crop(who, pose, canvas))
        videos["background"].append(plain)
        videos["mask"].append(mask)
        videos["state"].append((pose.mouth, pose.eyes, pose.turn, pose.tilt, *pose.points["head"]))
    return Clip(reference=_reference(who, seed, replace), replace=replace, **{name: np.stack([np.asarray(x) for x in video]) for name, video in videos.items()})


def driving(seed: int, other: int, frames: int) -> np.ndarray:
    """The character of the seed `other` in the place of that of `seed`: its motion, before its background."""
    who, motion, scene = body.character(other), body.Motion(seed), drawing.background(seed)
    canvases = [scene.copy() for _ in range(frames)]
    for frame, canvas in enumerate(canvases):
        drawing.paint(who, body.pose(who, motion, frame), canvas)
    return np.stack([np.asarray(drawing.shrink(canvas)) for canvas in canvases])


def _reference(who: body.Character, seed: int, replace: bool) -> np.ndarray:
    canvas = drawing.background(-seed - 1 if replace else seed)
    drawing.paint(who, body.pose(who, body.Motion(-seed - 1), 7), canvas)
    return np.asarray(drawing.shrink(canvas))


def store(out: Path, start: int, clips: int, shard: int = 250) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for first in range(start, start + clips, shard):
        begun = time.time()
        made = [clip(seed) for seed in range(first, min(first + shard, start + clips))]
        arrays = {name: np.stack([getattr(one, name) for one in made]) for name in Clip.__annotations__}
        partial = out / f"partial_{first:06}.npz"
        np.savez(partial, **arrays)
        partial.rename(out / f"clips_{first:06}.npz")
        print(f"{first + len(made)} clips, {time.time() - begun:.1f} s", flush=True)


def load(folder: Path, names: list[str]) -> dict[str, np.ndarray]:
    """All stored clips, in the order of their seeds."""
    files = [np.load(file) for file in sorted(Path(folder).glob("clips_*.npz"))]
    return {name: np.concatenate([file[name] for file in files]) for name in names}


def show(file: Path, start: int) -> None:
    rows = []
    for seed in range(start, start + 6):
        one = clip(seed)
        mask = np.repeat(one.mask[::8, ..., None], 3, -1)
        face = np.pad(one.face[::8], ((0, 0), (0, 96 - 32), (0, 96 - 32), (0, 0)))
        cells = [one.reference, *one.frames[::4], *one.pose[::8], *face, one.background[8], mask[1]]
        rows.append(np.concatenate(cells, 1))
    image = Image.fromarray(np.concatenate(rows))
    image.resize((image.width, image.height)).save(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--show", type=Path)
    arguments = parser.parse_args()
    if arguments.show:
        show(arguments.show, arguments.start)
    else:
        store(arguments.out, arguments.start, arguments.clips)


if __name__ == "__main__":
    main()

"""Frames of the drawn world with what is to be found in them: the person's 133 points, its mask and its box.

    python persons.py OUT [--frames 20000]    # OUT/persons.npz
"""

import argparse
import math
import random
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

import body
import drawing

# COCO-WholeBody's first 17, by the names of `body`.
BODY = "nose l_eye r_eye l_ear r_ear l_shoulder r_shoulder l_elbow r_elbow l_wrist r_wrist l_hip r_hip l_knee r_knee l_ankle r_ankle"
NUM_POINTS = 133


def points(who: body.Character, pose: body.Pose) -> np.ndarray:
    """[133, 2]: body, feet, face, left hand, right hand, in pixels."""
    found = [pose.points[name] for name in BODY.split()]
    for side, sign in (("l", 1), ("r", -1)):
        (x, y), (heel_x, heel_y) = pose.points[f"{side}_toe"], pose.points[f"{side}_ankle"]
        # Big and small toe, whose mean is drawn, and heel.
        found += [(x + 0.5 * sign, y - 0.5), (x - 0.5 * sign, y + 0.5), (heel_x - sign, heel_y + 2)]
    found += [body.on_head(pose.points["head"], pose.tilt, who.head, *place) for place in face(pose)]
    return np.array(found + pose.hands["l"] + pose.hands["r"], np.float32)


def face(pose: body.Pose) -> list[tuple[float, float]]:
    """68 places in radii of the head: jaw, brows, nose, eyes, lips. The character's right comes first."""
    shift = 0.3 * pose.turn
    turns = [math.pi * step / 16 for step in range(17)]
    jaw = [(-0.85 * math.cos(turn), 0.4 - 1.4 * math.sin(turn) ** 0.75) for turn in turns]
    brows = [(shift + sign * 0.38 + 0.1 * step, 0.33) for sign in (-1, 1) for step in range(-2, 3)]
    nose = [(1.2 * shift, 0.1 - 0.08 * step) for step in range(4)] + [(1.2 * shift + 0.05 * step, -0.2) for step in range(-2, 3)]
    eyes = [place for sign in (-1, 1) for place in _oval((shift + sign * 0.38, 0.12), 0.15, 0.15 * (0.2 + 1.1 * pose.eyes), 6)]
    wide = 0.34 - 0.06 * pose.mouth
    lips = [place for share, count in ((1, 12), (0.8, 8)) for place in _oval((shift, -0.5), share * wide, share * wide * (0.18 + 0.85 * pose.mouth), count)]
    return jaw + brows + nose + eyes + lips


def _oval(centre: tuple[float, float], wide: float, high: float, count: int) -> list[tuple[float, float]]:
    """From its left end over its upper side."""
    turns = [math.pi - math.tau * step / count for step in range(count)]
    return [(centre[0] + wide * math.cos(turn), centre[1] + high * math.sin(turn)) for turn in turns]


def silhouette(canvas: Image.Image, scene: Image.Image) -> np.ndarray:
    """[H, W], true where more than half of a pixel is the character's."""
    changed = ImageChops.difference(canvas, scene).convert("L").point(lambda value: 255 if value else 0)
    return np.asarray(drawing.shrink(changed)) > 127


def frame(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a character, a motion and a background of this seed: the picture, its points and the mask."""
    who, motion, scene = body.character(seed), body.Motion(seed), drawing.background(seed)
    pose = body.pose(who, motion, random.Random(f"person {seed}").uniform(0, 60))
    canvas = scene.copy()
    drawing.paint(who, pose, canvas)
    return np.asarray(drawing.shrink(canvas)), points(who, pose), silhouette(canvas, scene)


def store(out: Path, first: int, count: int) -> None:
    begun = time.time()
    pictures, found, masks = zip(*[frame(seed) for seed in range(first, first + count)])
    np.savez(out, pictures=np.stack(pictures), points=np.stack(found), masks=np.stack(masks))
    print(f"{count} frames, {time.time() - begun:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=20000)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    store(arguments.out / "persons.npz", 0, arguments.frames)


if __name__ == "__main__":
    main()

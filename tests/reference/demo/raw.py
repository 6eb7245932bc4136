"""Measures what the networks cost: held-out characters follow raw videos of others, with the points that networks find in them and with the true ones.

    python raw.py OUT [--clips 8] [--binaries ../../../target/release/examples]

PSNR is against what the world draws. Writes OUT/results.json, and the frames beside it.
"""

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

import body
import evaluate
import persons
import world

SIZE = ["--fps", "16", "--width", "96", "--height", "96"]
# As in examples/demo/run.
MASK = "--iterations 1 --kernel-size 3 --w-subdivisions 8 --h-subdivisions 8".split()
DRIVERS = world.HELD_OUT + 100  # who performs the motions


def write_points(points: np.ndarray, file: Path) -> None:
    frames = [[[float(x), float(y), 1.0] for x, y in frame] for frame in points]
    file.write_text(json.dumps({"format": "coco-wholebody-133", "width": 96, "height": 96, "fps": 16.0, "frames": frames}))


def read_points(file: Path) -> np.ndarray:
    return np.array(json.loads(file.read_text())["frames"], np.float32)[..., :2]


class Clip:
    def __init__(self, out: Path, index: int):
        self.folder = out / f"{index:02}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.seed, self.driver = world.HELD_OUT + index, DRIVERS + index
        evaluate.write_video(world.driving(self.seed, self.driver, evaluate.FRAMES), self.folder / "driving.mp4")
        who, motion = body.character(self.driver), body.Motion(self.seed)
        self.points = np.stack([persons.points(who, body.pose(who, motion, frame)) for frame in range(evaluate.FRAMES)])
        write_points(self.points, self.folder / "points.json")

    def run(self, binary: Path, *options: object) -> None:
        command = [binary, "--reference", self.folder / "reference.png", "--video", self.folder / "driving.mp4", *SIZE, *options]
        subprocess.run([str(part) for part in command], check=True, capture_output=True)

    def pixels_away(self, binaries: Path, model: Path) -> float:
        """The mean distance of the points that are found from the true ones."""
        out = self.folder / "prepared"
        self.run(binaries / "preprocess", "--networks", model / "process_checkpoint", "--mode", "replace", *MASK, "--out", out)
        return float(np.linalg.norm(read_points(out / "keypoints.json") - self.points, axis=-1).mean())

    def psnr(self, binaries: Path, name: str, *options: object) -> dict[str, float]:
        """Of the example `name`, with the points of networks and with the true ones."""
        clip = world.clip(self.seed, evaluate.FRAMES, replace=name == "replace")
        Image.fromarray(clip.reference).save(self.folder / "reference.png")
        found = {}
        for points, given in (("found", ()), ("true", ("--keypoints", self.folder / "points.json"))):
            out = self.folder / f"{name} {points}"
            self.run(binaries / name, "--steps", 4, *options, *given, "--out", out)
            frames = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in sorted(out.glob("*.png"))])
            found[f"{name}, points {points}"] = evaluate.psnr(frames, clip.frames[: len(frames)])
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path, default=evaluate.ROOT / "examples" / "demo" / "model")
    parser.add_argument("--binaries", type=Path, default=evaluate.ROOT / "target" / "release" / "examples")
    parser.add_argument("--clips", type=int, default=8)
    arguments = parser.parse_args()
    results = []
    for index in range(arguments.clips):
        clip = Clip(arguments.out, index)
        model = ("--model", arguments.model)
        result = clip.psnr(arguments.binaries, "animate", *model) | clip.psnr(arguments.binaries, "replace", *model, *MASK)
        results.append(result | {"pixels away": clip.pixels_away(arguments.binaries, arguments.model)})
        print(index, {name: round(value, 2) for name, value in results[-1].items()}, flush=True)
        (arguments.out / "results.json").write_text(json.dumps(results, indent=1))
    for name in results[0]:
        print(f"{name}: {np.mean([result[name] for result in results]):.2f}")


if __name__ == "__main__":
    main()

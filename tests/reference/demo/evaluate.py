"""Measures the demo's checkpoint on held-out characters and motions, run by the crate's own examples.

    python evaluate.py OUT [--clips 20] [--binaries ../../../target/release/examples] [--steps 8]

Each clip has two segments, 33 frames; PSNR is of the 8-bit frames against those that the world draws. Writes
OUT/results.json, and the frames beside it.
"""

import argparse
import json
import math
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import world

ROOT = Path(__file__).resolve().parents[3]
FRAMES = 33


@dataclass
class Runner:
    binaries: Path
    model: Path
    steps: int

    def __call__(self, name: str, inputs: Path, out: Path, **replaced: Path) -> np.ndarray:
        """Runs the example `name` on the inputs of a folder, of which some may be replaced by others."""
        paths = {key: inputs / key for key in ("pose", "face")} | {"reference": inputs / "reference.png"}
        if name == "replace":
            paths |= {key: inputs / key for key in ("background", "mask")}
        options = [part for key, path in (paths | replaced).items() for part in (f"--{key}", path)]
        command = [self.binaries / name, "--model", self.model, "--out", out, "--segment-frames", str(world.FRAMES), "--steps", str(self.steps), *options]
        subprocess.run(command, check=True, capture_output=True)
        return np.stack([np.asarray(Image.open(file).convert("RGB")) for file in sorted(out.glob("*.png"))])


def write(clip: world.Clip, folder: Path) -> None:
    """A clip as the examples read it: a folder of images for each video."""
    for name in ("frames", "pose", "face", "background", "mask"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index, frame in enumerate(getattr(clip, name)):
            Image.fromarray(frame).save(folder / name / f"{index:03}.png")
    Image.fromarray(clip.reference).save(folder / "reference.png")


def write_video(frames: np.ndarray, file: Path) -> None:
    """A video as people have them: H.264, by the program ffmpeg."""
    size = f"{frames.shape[2]}x{frames.shape[1]}"
    raw = ["ffmpeg", "-loglevel", "error", "-y", "-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", size, "-framerate", "16", "-i", "-"]
    command = [*raw, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "8", "-preset", "slow", "-bf", "0", file]
    subprocess.run(command, input=frames.tobytes(), check=True)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * math.log10(255**2 / np.square(a.astype(float) - b).mean())


def around_mouth(clip: world.Clip, difference: np.ndarray) -> dict[str, float]:
    """Mean absolute difference within 5 pixels of the mouth, and in the rest of the frame."""
    y, x = np.mgrid[: world.body.SIZE, : world.body.SIZE]
    mouth = np.stack([np.hypot(x - at[4] - 7 * math.sin(at[3]), y - at[5] - 7 * math.cos(at[3])) < 5 for at in clip.state])
    return {"mouth": difference[mouth].mean(), "elsewhere": difference[~mouth].mean()}


def animate(run: Runner, out: Path, index: int, count: int) -> dict[str, float]:
    """The right pose video, and that of the next clip in its place."""
    clip = world.clip(world.HELD_OUT + index, FRAMES, replace=False)
    folder, other = out / f"{index:02}", out / f"{(index + 1) % count:02}"
    result, wrong = run("animate", folder, folder / "result"), run("animate", folder, folder / "wrong", pose=other / "pose")
    return {
        "psnr": psnr(result, clip.frames),
        "psnr of the reference repeated": psnr(clip.reference[None], clip.frames),
        "psnr of the wrong pose": psnr(wrong, clip.frames),
    }


def mouths(run: Runner, out: Path, index: int) -> dict[str, float]:
    frames = []
    for name, mouth in (("closed", 0.0), ("open", 1.0)):
        clip = world.clip(world.HELD_OUT + index, world.FRAMES, replace=False, mouth=mouth)
        write(clip, out / f"{index:02}" / name)
        frames.append(run("animate", out / f"{index:02}" / name, out / f"{index:02}" / name / "result").astype(float))
    return around_mouth(clip, np.abs(frames[1] - frames[0]))


def replace(run: Runner, out: Path, index: int) -> dict[str, float]:
    clip = world.clip(world.HELD_OUT + index, FRAMES, replace=True)
    folder = out / f"{index:02}" / "replace"
    write(clip, folder)
    result = run("replace", folder, folder / "result")
    kept = clip.mask == 0
    difference = np.abs(result.astype(float) - clip.frames)
    return {"psnr": psnr(result, clip.frames), "background": difference[kept].mean()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path, default=ROOT / "examples" / "demo" / "model")
    parser.add_argument("--binaries", type=Path, default=ROOT / "target" / "release" / "examples")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--steps", type=int, default=4)
    arguments = parser.parse_args()
    run, out, count = Runner(arguments.binaries, arguments.model, arguments.steps), arguments.out, arguments.clips
    for index in range(count):
        write(world.clip(world.HELD_OUT + index, FRAMES, replace=False), out / f"{index:02}")
    results = []
    for index in range(count):
        results.append({"animate": animate(run, out, index, count), "mouths": mouths(run, out, index), "replace": replace(run, out, index)})
        print(index, {f"{part} {name}": round(value, 2) for part, values in results[-1].items() for name, value in values.items()}, flush=True)
        (out / "results.json").write_text(json.dumps(results, indent=1))
    for part, values in results[0].items():
        for name in values:
            print(f"{part}, {name}: {np.mean([result[part][name] for result in results]):.2f}")
    followed = sum(result["animate"]["psnr of the wrong pose"] < result["animate"]["psnr"] for result in results)
    print(f"the wrong pose is worse in {followed} of {count}")


if __name__ == "__main__":
    main()

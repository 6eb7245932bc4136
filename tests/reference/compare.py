"""Compares the examples with diffusers on random tiny checkpoints, inputs and settings.

    cargo build --release --examples
    python compare.py [--family animate|t2v|i2v|ti2v] [--runs 12] [--seed 1000] [--precision f32 f16] [--keep DIR]

The family `animate` runs the examples `animate` and `replace`, the others the example of their name. A family and a seed
fix a case completely. For each the script writes a checkpoint, input images and the noise, lets the pipeline of
diffusers make the frames in f32 on the CPU, runs the example on the same files and prints mean and maximum |difference|
of the frames in [0, 1]. The column `moves` is how far the reference itself moves, on average, when its noise moves by
1e-5. With --prepare the files are written and the examples are not run.
"""

import argparse
import functools
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from diffusers.utils import logging as diffusers_logging
from safetensors.torch import load_file
from transformers.utils import logging as transformers_logging

import cases
import family_cases

BOUNDS = {"f32": (5e-5, 2e-3), "f16": (3e-3, 0.1)}
FAMILIES = {"animate": cases.prepare}
FAMILIES |= {kind: functools.partial(family_cases.prepare, kind) for kind in ("t2v", "i2v", "ti2v")}

OPTIONS = {
    "--width": "width",
    "--height": "height",
    "--segment-frames": "segment_frame_length",
    "--overlap": "prev_segment_conditioning_frames",
    "--steps": "num_inference_steps",
    "--guidance-scale": "guidance_scale",
    "--shift": "shift",
    "--prompt": "prompt",
    "--negative-prompt": "negative_prompt",
    "--seed": "seed",
}
# `animate` and `replace` take their length from the pose video.
FAMILY_OPTIONS = {"--num-frames": "num_frames", "--guidance-scale-2": "guidance_scale_2"}
FILES = {
    "--reference": "reference",
    "--pose": "pose",
    "--face": "face",
    "--background": "background",
    "--mask": "mask",
    "--image": "image",
    "--last-image": "last_image",
    "--noise": "noise",
}


def command(settings: dict, folder: Path, binaries: Path, precision: str, adapter: str | None) -> list[str]:
    words = [str(binaries / settings["mode"]), "--model", str(folder / "model")]
    for option, key in FILES.items():
        words += [option, str(folder / settings[key])] if settings.get(key) else []
    options = OPTIONS if settings["mode"] in ("animate", "replace") else OPTIONS | FAMILY_OPTIONS
    for option, key in options.items():
        words += [option, str(settings[key])] if settings.get(key) is not None else []
    words += ["--adapter", adapter] if adapter else []
    return words + ["--precision", precision, "--out", str(folder / f"{precision}.safetensors")]


def judge(settings: dict, folder: Path, precision: str, arguments: argparse.Namespace) -> tuple[bool, str]:
    """Runs the example once. Returns whether it is within the bounds, and the words to print."""
    words = command(settings, folder, arguments.binaries, precision, arguments.adapter)
    (folder / f"{precision}.sh").write_text(shlex.join(words) + "\n", encoding="utf-8")
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=arguments.timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"FAIL {error}"
    if done.returncode:
        return False, f"FAIL exit {done.returncode}: {done.stderr.strip()[-400:]}"
    actual = load_file(folder / f"{precision}.safetensors")["frames"]
    expected = load_file(folder / "expected.safetensors")["frames"]
    if actual.shape != expected.shape:
        return False, f"FAIL shape {tuple(actual.shape)}, expected {tuple(expected.shape)}"
    difference = (actual - expected).abs()
    mean, largest = difference.mean().item(), difference.max().item()
    good = mean <= BOUNDS[precision][0] and largest <= BOUNDS[precision][1]  # false for NaN
    return good, f"{'PASS' if good else 'FAIL'} mean {mean:.2e} max {largest:.2e}"


def main() -> None:
    target = Path(__file__).parent.parent.parent / "target" / "release" / "examples"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, default="animate")
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1000, help="seed of the first case")
    parser.add_argument("--precision", nargs="+", choices=BOUNDS, default=["f32"])
    parser.add_argument("--binaries", type=Path, default=target, help="folder of the examples")
    parser.add_argument("--adapter", help="passed on to the examples")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds one example may take")
    parser.add_argument("--keep", type=Path, help="folder that keeps the files of every case")
    parser.add_argument("--prepare", action="store_true", help="do not run the examples")
    arguments = parser.parse_args()
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    torch.set_grad_enabled(False)
    failures = 0
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(arguments.seed, arguments.seed + arguments.runs):
            folder = (arguments.keep or Path(scratch)) / str(seed)
            settings, description = FAMILIES[arguments.family](seed, folder)
            print(f"{seed} {description}, moves {settings['moves']:.1e}", flush=True)
            for precision in [] if arguments.prepare else arguments.precision:
                good, words = judge(settings, folder, precision, arguments)
                failures += not good
                print(f"  {precision} {words}", flush=True)
    sys.exit(min(failures, 1))


if __name__ == "__main__":
    main()

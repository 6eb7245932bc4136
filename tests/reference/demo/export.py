"""Writes examples/demo/: the trained checkpoint with the networks of `networks.py`, and the inputs of a held-out character.

    python export.py OUT [--to ../../../examples/demo] [--clip 4] [--driving 102]
"""

import argparse
import json
import shutil
from pathlib import Path

from diffusers import AutoencoderKLWan, WanAnimateTransformer3DModel

import evaluate
import parts
import world
from parts import checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--to", type=Path, default=evaluate.ROOT / "examples" / "demo")
    parser.add_argument("--clip", type=int, default=4)
    parser.add_argument("--driving", type=int, default=102, help="who performs the motion in the driving video")
    arguments = parser.parse_args()
    for name in ("model", "pose", "face", "background", "mask", "truth"):
        shutil.rmtree(arguments.to / name, ignore_errors=True)
    vae = AutoencoderKLWan.from_pretrained(arguments.out / "vae")
    transformer = WanAnimateTransformer3DModel.from_pretrained(arguments.out / "transformer")
    checkpoint.save_pipeline(parts.pipeline(vae, transformer), arguments.to / "model", "f16")
    for name in ("vae", "transformer"):
        file = arguments.to / "model" / name / "config.json"
        config = json.loads(file.read_text())
        del config["_name_or_path"]  # a folder of whoever runs this
        file.write_text(json.dumps(config, indent=2) + "\n")
    networks = arguments.to / "model" / "process_checkpoint"
    networks.mkdir()
    for file in (arguments.out / "networks").glob("*.onnx"):
        shutil.copy(file, networks)
    evaluate.write(world.clip(world.HELD_OUT + arguments.clip, evaluate.FRAMES, replace=True), arguments.to)
    (arguments.to / "frames").rename(arguments.to / "truth")
    driving = world.driving(world.HELD_OUT + arguments.clip, world.HELD_OUT + arguments.driving, evaluate.FRAMES)
    evaluate.write_video(driving, arguments.to / "driving.mp4")


if __name__ == "__main__":
    main()

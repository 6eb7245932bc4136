"""Trains the motion encoder to tell mouth, eyes, turn and tilt from a face crop; the transformer's training keeps it.

    python face.py WORLD OUT [--steps N]    # OUT/face.pt
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from diffusers.models.transformers.transformer_wan_animate import WanAnimateMotionEncoder

import drawing
import world
from muon import Average

SEED = 2
BATCH = 96
SIZES = {"size": drawing.FACE, "style_dim": 48, "motion_dim": 12, "out_dim": 32, "channels": {"32": 12, "16": 16, "8": 32, "4": 48}}
SCALES = torch.tensor([1.0, 1.0, 2.0, 3.0])  # mouth, eyes, turn, tilt: to about unit weight


def build() -> WanAnimateMotionEncoder:
    torch.manual_seed(SEED)
    return WanAnimateMotionEncoder(**SIZES)


def pixels(faces: np.ndarray) -> torch.Tensor:
    """[N, H, W, 3] bytes to [N, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(faces).permute(0, 3, 1, 2) / 127.5 - 1


def train(faces: np.ndarray, states: np.ndarray, steps: int) -> WanAnimateMotionEncoder:
    encoder, readout = build(), torch.nn.Linear(SIZES["out_dim"], len(SCALES))
    both = torch.nn.ModuleList([encoder, readout])
    optimizer, average = torch.optim.AdamW(both.parameters(), lr=4e-3, weight_decay=0.0), Average(both, 0.98)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    random, begun = np.random.default_rng(SEED), time.time()
    for step in range(1, steps + 1):
        chosen = random.integers(len(faces), size=BATCH)
        told = readout(encoder(pixels(faces[chosen])))
        error = (told - torch.from_numpy(states[chosen]).float() * SCALES).square().mean(0)
        optimizer.zero_grad()
        error.mean().backward()
        torch.nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update(both)
        if step % 100 == 0:
            print(f"{step}/{steps}: {[round(value, 4) for value in error.tolist()]}, {time.time() - begun:.0f} s", flush=True)
    both.load_state_dict(average.weights)
    return encoder.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    videos = world.load(arguments.world, ["face", "state"])
    faces, states = videos["face"].reshape(-1, drawing.FACE, drawing.FACE, 3), videos["state"].reshape(-1, 6)[:, :4]
    torch.save(train(faces, states, arguments.steps).state_dict(), arguments.out / "face.pt")


if __name__ == "__main__":
    main()

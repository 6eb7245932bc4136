"""A quick look at training: samples held-out clips in Python and prints PSNR; the real figures are `evaluate.py`'s.

    python sample.py OUT [--clips 4] [--steps 8]    # OUT/sample.png
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from PIL import Image

import dit
import evaluate
import face
import latents
import parts
import world


@torch.no_grad()
def sample(model: dit.Trained, batch: dict, steps: int) -> torch.Tensor:
    """Euler steps along the velocity."""
    sigmas = dit.spaced(torch.linspace(1, 0, steps + 1))
    x = torch.randn(len(batch["pose"]), 16, batch["pose"].shape[2] + 1, *batch["pose"].shape[-2:], generator=torch.Generator().manual_seed(0))
    for sigma, following in zip(sigmas, sigmas[1:]):
        x = x + (following - sigma) * model(x, sigma.expand(len(x)), batch)
    return x[:, :, 1:]


def batch_of(clips: list[world.Clip], encoder: latents.Encoder, motion) -> dict:
    images = parts.ImageEncoder()
    conditions = [latents.condition(vars(clip), 0) for clip in clips]
    with torch.no_grad():
        motions = [motion(face.pixels(clip.face)) for clip in clips]
    return {
        "pose": encoder(np.stack([clip.pose for clip in clips])),
        "reference": encoder(np.stack([clip.reference[None] for clip in clips])),
        "condition": encoder(torch.stack([video for video, _ in conditions])),
        "mask": torch.stack([latents.fold(mask) for _, mask in conditions]),
        "image": torch.stack([images(Image.fromarray(clip.reference)) for clip in clips]),
        "motion": torch.stack(motions),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--steps", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    encoder = latents.Encoder(AutoencoderKLWan.from_pretrained(arguments.out / "vae"))
    motion = face.build().eval()
    motion.load_state_dict(torch.load(arguments.out / "face.pt"))
    model = dit.Trained()
    model.load_state_dict(torch.load(arguments.out / "dit.pt")["average"])
    clips = [world.clip(world.HELD_OUT + 1000 + index) for index in range(arguments.clips)]
    made = encoder.decode(sample(model, batch_of(clips, encoder, motion), arguments.steps))
    rows = []
    for clip, frames in zip(clips, ((made + 1) * 127.5).round().clamp(0, 255).byte().numpy()):
        repeated = np.broadcast_to(clip.reference, clip.frames.shape)
        print(f"{'replace' if clip.replace else 'animate'}: {evaluate.psnr(frames, clip.frames):.2f} dB, the reference repeated {evaluate.psnr(repeated, clip.frames):.2f} dB")
        rows += [np.concatenate([clip.reference, *video[::4]], 1) for video in (clip.frames, clip.pose, frames)]
    Image.fromarray(np.concatenate(rows)).save(arguments.out / "sample.png")


if __name__ == "__main__":
    main()

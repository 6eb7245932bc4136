"""Stores what the transformer is trained on: latents of clips, of their poses and of what they are conditioned on.

    python latents.py WORLD OUT    # OUT/latents/*.pt, by OUT/vae and OUT/face.pt
"""

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from PIL import Image

import drawing
import face
import parts
import world

CARRIED = ((0, 0.5), (1, 0.4), (5, 0.1))  # frames that a segment takes over, and how often


class Encoder:
    """Frames to normalised latents."""

    def __init__(self, vae: AutoencoderKLWan):
        self.vae = vae
        self.mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
        self.std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)

    @torch.no_grad()
    def __call__(self, video: np.ndarray | torch.Tensor) -> torch.Tensor:
        """[N, F, H, W, 3] bytes, or floats in [-1, 1], to [N, 16, T, H / 8, W / 8]."""
        if isinstance(video, np.ndarray):
            video = torch.from_numpy(video) / 127.5 - 1
        with torch.autocast("cpu", torch.bfloat16):
            latents = self.vae.encode(video.permute(0, 4, 1, 2, 3)).latent_dist.mode()
        return (latents.float() - self.mean) / self.std

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """The inverse, to floats in [-1, 1]."""
        return self.vae.decode(latents * self.std + self.mean).sample.permute(0, 2, 3, 4, 1)


def condition(clip: dict, carried: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The video that the segment is conditioned on, in [-1, 1], and its mask by pixel of latents: 1 where it is kept."""
    frames = torch.from_numpy(clip["frames"]) / 127.5 - 1
    video, mask = torch.zeros_like(frames), torch.zeros(len(frames), frames.shape[1] // 8, frames.shape[2] // 8)
    if clip["replace"]:
        video = torch.from_numpy(clip["background"]) / 127.5 - 1
        mask = 1 - torch.from_numpy(clip["mask"][:, ::8, ::8]).float() / 255
    video[:carried], mask[:carried] = frames[:carried], 1
    return video, mask


def fold(mask: torch.Tensor) -> torch.Tensor:
    """[F, H, W] to [4, T, H, W]: the first frame counts four times."""
    mask = torch.cat([mask[:1].repeat(3, 1, 1), mask])
    return mask.unflatten(0, (-1, 4)).transpose(0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    out = arguments.out / "latents"
    out.mkdir(exist_ok=True)
    encoder = Encoder(AutoencoderKLWan.from_pretrained(arguments.out / "vae"))
    motion = face.build().eval()
    motion.load_state_dict(torch.load(arguments.out / "face.pt"))
    images = parts.ImageEncoder()
    blank = encoder(torch.zeros(1, world.FRAMES, drawing.SIZE, drawing.SIZE, 3))
    for file in sorted(arguments.world.glob("clips_*.npz")):
        if (out / f"{file.stem}.pt").exists():
            continue
        begun, videos = time.time(), dict(np.load(file))
        carried = random.Random(file.stem).choices(*zip(*CARRIED), k=len(videos["replace"]))
        stored = []
        for index, count in enumerate(carried):
            clip = {name: values[index] for name, values in videos.items()}
            video, mask = condition(clip, count)
            kept = encoder(video[None]) if clip["replace"] or count else blank
            two = encoder(np.stack([clip["frames"], clip["pose"]]))
            with torch.no_grad():
                motions = motion(face.pixels(clip["face"]))
            stored.append({
                "target": two[0].half(),
                "pose": two[1].half(),
                "reference": encoder(clip["reference"][None, None])[0].half(),
                "condition": kept[0].half(),
                "mask": fold(mask).half(),
                "motion": motions,
                "image": images(Image.fromarray(clip["reference"])),
                "head": torch.from_numpy(clip["state"][:, 4:]).float(),
            })
        torch.save({name: torch.stack([one[name] for one in stored]) for name in stored[0]}, out / f"{file.stem}.pt")
        print(f"{file.stem}: {time.time() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()

"""Trains the demo's VAE: first on single frames, then on clips.

    python vae.py WORLD OUT

WORLD is what `world.py` wrote. First single frames are learned, then clips, then by the decoder alone: what it makes of
latents may still improve while the transformer is trained on them. Goes on from OUT/vae.pt where that exists. OUT/vae
has the result in diffusers' layout, written before the last phase too.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders import autoencoder_kl_wan

import world
from muon import Average, Both

SEED = 1
CROP = 48
IMAGES, CLIPS, LONG = 16, 2, 9  # a batch of images, or of clips and their frames
NOISE, PULL = 0.15, 3e-4  # latents are blurred by this much, and kept small


def build() -> AutoencoderKLWan:
    torch.manual_seed(SEED)
    return AutoencoderKLWan(
        base_dim=16,
        decoder_base_dim=24,
        dim_mult=[1, 2, 2],
        num_res_blocks=1,
        temperal_downsample=[True, True],
        is_residual=True,
        patch_size=2,
        in_channels=12,
        out_channels=12,
    )


def skip_empty_past() -> None:
    """A causal convolution of one frame without a past sees zeros in all but its last slice: leave those out."""
    whole = autoencoder_kl_wan.WanCausalConv3d.forward

    def forward(self, x, cache_x=None):
        if cache_x is not None or x.shape[2] > 1 or self.stride[0] != 1:
            return whole(self, x, cache_x)
        padding = self._padding[0]
        return F.conv2d(x[:, :, 0], self.weight[:, :, -1], self.bias, padding=padding).unsqueeze(2)

    autoencoder_kl_wan.WanCausalConv3d.forward = forward


@torch.no_grad()
def start_in_time(model: AutoencoderKLWan) -> None:
    """What images could not teach: slices of the past begin at zero, steps in time by keeping the last frame."""
    for name, module in model.named_modules():
        if not isinstance(module, autoencoder_kl_wan.WanCausalConv3d) or module.kernel_size[0] == 1:
            continue
        if name.endswith("time_conv"):
            module.bias.zero_()
            module.weight.mul_(0.1)
            inputs = module.weight.shape[1]
            for index in range(module.weight.shape[0]):
                module.weight[index, index % inputs, -1] += 1
        else:
            module.weight[:, :, :-1].mul_(0.1)


class Source:
    """Crops of frames, pose drawings, and backgrounds whose hole or whose future is blank."""

    def __init__(self, folder: Path):
        self.random = np.random.default_rng(SEED)
        self.videos = world.load(folder, ["frames", "pose", "background"])
        self.clips = len(self.videos["frames"])

    def _crop(self, frames: int) -> np.ndarray:
        kind = self.random.choice(["frames", "pose", "background", "carried"], p=[0.65, 0.15, 0.1, 0.1])
        video = self.videos["frames" if kind == "carried" else kind][self.random.integers(self.clips)]
        first = self.random.integers(len(video) - frames + 1)
        x, y = (8 * self.random.integers((world.body.SIZE - CROP) // 8 + 1) for _ in range(2))
        crop = video[first : first + frames, y : y + CROP, x : x + CROP]
        crop = torch.from_numpy(crop).permute(3, 0, 1, 2) / 127.5 - 1
        if kind == "carried" and frames > 1:
            crop[:, self.random.choice([1, 5]) :] = 0
        return crop

    def batch(self, count: int, frames: int) -> torch.Tensor:
        return torch.stack([self._crop(frames) for _ in range(count)])


def edges(video: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return video.diff(dim=-1), video.diff(dim=-2)


def loss(model: AutoencoderKLWan, video: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.autocast("cpu", torch.bfloat16):
        latents = model.encode(video).latent_dist.mode()
        output = model.decode(latents + NOISE * torch.randn_like(latents)).sample.float()
    error = output - video
    edge = sum(F.l1_loss(a, b) for a, b in zip(edges(output), edges(video)))
    square = error.square().mean()
    return error.abs().mean() + 2 * square + 0.5 * edge + PULL * latents.float().square().mean(), square


def psnr(square: float) -> float:
    return 10 * math.log10(4 / square)


# Steps, clips of a batch, frames of each, and learning rates of Muon and AdamW.
PHASES = {
    "images": (1200, 16, 1, (0.02, 2e-3)),
    "clips": (800, 2, 9, (0.01, 1e-3)),
    "decoder": (1600, 2, 9, (0.01, 1e-3)),
    "decoder, finer": (3200, 2, 9, (0.01, 1e-3)),
    "decoder, longer": (800, 1, 17, (0.005, 5e-4)),  # whole segments: shorter clips do not show how colours drift
}


def train(phase: str, model: AutoencoderKLWan, source: Source, state: dict, state_file: Path) -> None:
    """Leaves the averaged weights in `model`; `state` is of an earlier run, and is used where it is of this phase."""
    steps, count, frames, rates = PHASES[phase]
    optimizer, average = Both(model, steps, *rates), Average(model, 0.998)
    if state.get("phase") == phase:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.weights, average.steps = state["average"], optimizer.done
    begun, squares = time.time(), []
    while optimizer.done < steps:
        value, square = loss(model, source.batch(count, frames))
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update(model)
        squares.append(square.item())
        if optimizer.done % 100 == 0:
            print(f"{phase} {optimizer.done}/{steps}: {psnr(np.mean(squares)):.2f} dB, {time.time() - begun:.0f} s", flush=True)
            squares = []
        if optimizer.done % 200 == 0 or optimizer.done == steps:
            torch.save({"phase": phase, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": average.weights}, state_file)
    model.load_state_dict(average.weights)


@torch.no_grad()
def normalise(model: AutoencoderKLWan, source: Source, clips: int = 48) -> None:
    """Writes the latents' means and deviations to the configuration, and prints how well whole frames come back."""
    videos = torch.from_numpy(source.videos["frames"][:clips]).permute(0, 4, 1, 2, 3) / 127.5 - 1
    latents = torch.cat([model.encode(video[None]).latent_dist.mode() for video in videos])
    model.register_to_config(
        latents_mean=[round(value, 4) for value in latents.mean((0, 2, 3, 4)).tolist()],
        latents_std=[round(value, 4) for value in latents.std((0, 2, 3, 4)).tolist()],
    )
    squares = [(model.decode(one[None]).sample - video).square().mean().item() for one, video in zip(latents[:12], videos)]
    print(f"whole clips: {np.mean([psnr(square) for square in squares]):.2f} dB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    skip_empty_past()
    model, source, state_file = build(), Source(arguments.world), arguments.out / "vae.pt"
    state = torch.load(state_file) if state_file.exists() else {}
    for phase in list(PHASES)[list(PHASES).index(state.get("phase", "images")) :]:
        if phase == "clips":
            start_in_time(model)
        if phase.startswith("decoder"):
            model.encoder.requires_grad_(False)
            model.quant_conv.requires_grad_(False)
        train(phase, model, source, state, state_file)
        if phase != "images":
            normalise(model, source)
            model.save_pretrained(arguments.out / "vae")


if __name__ == "__main__":
    main()

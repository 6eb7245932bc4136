"""Makes tests/goldens/windows/: a run of diffusers' WanAnimatePipeline whose transformer looks at windows of the video.

    python windows.py [--out ../goldens/windows]

The video is denoised as one segment of 21 frames, the last three of which go back. In place of the transformer stands a harness around it: for each window it cuts latents,
conditioning, pose and face tokens, the reference's frame in front of each; what comes of them is put together by linear ramps over the frames
that windows share, and by the mean in the reference's frame. `noise.safetensors` has the noise, `latents.safetensors` the last latents.
"""

import argparse
from pathlib import Path

import torch
from diffusers.utils import logging
from torch import nn

import parts
import run as animate
from caches import ANIMATE, GOLDENS

STEPS, FRAMES = 4, 18
WINDOWS = [(0, 3), (2, 5), (3, 6)]


class Given(nn.Module):
    """Gives what it was told to."""

    def __init__(self, tensor: torch.Tensor):
        super().__init__()
        self.tensor = tensor

    def forward(self, *_):
        return self.tensor


def share(window: int, frame: int) -> float:
    """Of a latent frame in a window, before all shares of the frame are made to add up to 1."""
    start, end = WINDOWS[window]
    before = WINDOWS[window - 1][1] - start if window > 0 else 0
    after = end - WINDOWS[window + 1][0] if window + 1 < len(WINDOWS) else 0
    rising, falling = (frame - start + 1) / (before + 1), (end - frame) / (after + 1)
    return min(rising, 1.0) * min(falling, 1.0)


class Windowed:
    def __init__(self, model: nn.Module):
        self.model, self.forward = model, model.forward
        self.motion_encoder, self.face_encoder = model.motion_encoder, model.face_encoder
        model.forward = self.call

    def tokens(self, faces: torch.Tensor) -> torch.Tensor:
        batch, channels, frames, height, width = faces.shape
        pixels = faces.permute(0, 2, 1, 3, 4).reshape(-1, channels, height, width)
        motion = torch.cat([self.motion_encoder(part) for part in pixels.split(1)])
        return self.face_encoder(motion.view(batch, frames, -1))

    def call(self, hidden_states, pose_hidden_states, face_pixel_values, **rest):
        tokens = self.tokens(face_pixel_values)
        all_frames = hidden_states.shape[2] - 1
        sums, shares = 0, torch.zeros(all_frames + 1)
        for window, (start, end) in enumerate(WINDOWS):
            at = [0, *range(1 + start, 1 + end)]
            self.model.motion_encoder = Given(torch.zeros(1, self.model.config.motion_dim))
            self.model.face_encoder = Given(tokens[:, start:end])
            said = self.forward(
                hidden_states=hidden_states[:, :, at],
                pose_hidden_states=pose_hidden_states[:, :, start:end],
                face_pixel_values=face_pixel_values[:, :, :1],
                **rest,
            )[0]
            own = torch.tensor([1.0, *(share(window, frame) for frame in range(start, end))])
            whole = torch.zeros(*said.shape[:2], all_frames + 1, *said.shape[3:])
            whole[:, :, at] = said * own.view(1, 1, -1, 1, 1)
            sums = sums + whole
            shares[at] += own
        return (sums / shares.view(1, 1, -1, 1, 1),)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=GOLDENS / "windows")
    out = parser.parse_args().out
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    pipe = animate.load(GOLDENS / "tiny")
    Windowed(pipe.transformer)
    settings = {**ANIMATE, "num_frames": FRAMES, "segment_frame_length": 21, "num_inference_steps": STEPS}
    noise, expected = animate.run(pipe, settings, GOLDENS)
    parts.write(noise, out / "noise.safetensors")
    parts.write({"latents": expected[f"segment_0.step_{STEPS - 1}"]}, out / "latents.safetensors")


if __name__ == "__main__":
    main()

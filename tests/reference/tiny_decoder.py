"""Makes tests/goldens/tiny_decoder/: tiny decoders with the layers and names of taew2_1 and taew2_2, and what torch makes of latents; and
tests/goldens/published/taew2_1.json, the tensors of the released file by name and shape.

    python tiny_decoder.py [--out ../goldens/tiny_decoder]

The module is written from the description of the released files: a decoder of numbered layers, three levels of three blocks that look one
frame back. Latents go through `3 tanh(x / 3)`; of T latent frames come 4 T frames, the first three of which are dropped.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

import parts


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        convs = [nn.Conv2d(2 * width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)]
        self.conv = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])

    def forward(self, x):
        """Frames [T, C, H, W]; the one before the first is zero."""
        before = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
        return functional.relu(self.conv(torch.cat([x, before], 1)) + x)


class Grow(nn.Module):
    def __init__(self, width: int, frames: int):
        super().__init__()
        self.width, self.conv = width, nn.Conv2d(width, frames * width, 1, bias=False)

    def forward(self, x):
        return self.conv(x).reshape(-1, self.width, *x.shape[2:])


def decoder(channels: int, widths: list[int], patch: int) -> nn.Sequential:
    layers = [nn.Identity(), nn.Conv2d(channels, widths[0], 3, padding=1), nn.ReLU()]
    for width, outputs, frames in zip(widths, widths[1:], (1, 2, 2)):
        layers += [Block(width), Block(width), Block(width), nn.Upsample(scale_factor=2), Grow(width, frames)]
        layers.append(nn.Conv2d(width, outputs, 3, padding=1, bias=False))
    return nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(widths[-1], 3 * patch * patch, 3, padding=1))


def decode(model: nn.Sequential, latents: torch.Tensor, patch: int) -> torch.Tensor:
    """Latents [C, T, H, W] to frames [F, H, W, 3] from -1 to 1."""
    x = model(3 * torch.tanh(latents.transpose(0, 1) / 3))
    frames = functional.pixel_shuffle(x, patch)[3:].clamp(0, 1)
    return (2 * frames - 1).permute(0, 2, 3, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "goldens" / "tiny_decoder")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    torch.manual_seed(31)
    out.mkdir(parents=True, exist_ok=True)
    for name, channels, widths, patch, gain in (("taew2_1", 16, [12, 8, 6, 5], 1, 0.8), ("taew2_2", 48, [8, 6, 4, 4], 2, 1.2)):
        model = decoder(channels, widths, patch)
        # Torch's own draw shrinks the signal; this keeps it, so that samples fill their range.
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.normal_(0, (gain / module.weight[0].numel()) ** 0.5)
        model[-1].bias.add_(0.5)
        tensors = {f"decoder.{key}": value for key, value in model.state_dict().items()}
        # Of the encoder, which is not read.
        tensors["encoder.0.weight"] = torch.zeros(1)
        save_file({key: value.contiguous() for key, value in tensors.items()}, out / f"{name}.safetensors")
        latents = 1.5 * torch.randn(channels, 3, 2, 3)
        frames = decode(model, latents, patch)
        inside = ((frames > -1) & (frames < 1)).float().mean().item()
        print(f"{name}: {inside:.2f} of the samples lie within their range")
        parts.write({"latents": latents, "frames": frames}, out / f"{name}.golden.safetensors")
    released = decoder(16, [256, 128, 64, 64], 1).state_dict()
    lines = [json.dumps([f"decoder.{name}", list(tensor.shape)]) for name, tensor in released.items()]
    (out.parent / "published" / "taew2_1.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()

"""Goldens of PyTorch's seeded CPU noise: `python rng.py ../goldens/rng.safetensors` (torch 2.9.1, safetensors)."""

import sys

import torch
from safetensors.torch import save_file

SEEDS = [0, 1, 42, 2**31 + 7, 2**32 + 42, 2**63 - 1, 2**64 - 1, -1]
SIZES = [1, 5, 15, 16, 17, 31, 100, 700]


def main(path):
    tensors = {}
    for seed in SEEDS:
        for size in SIZES:
            tensors[f"single/{seed}/{size}"] = torch.randn(size, generator=torch.Generator().manual_seed(seed))
        # One generator, many calls: the spare value of the short path survives the long path.
        generator = torch.Generator().manual_seed(seed)
        for i, size in enumerate([3, 16, 1, 40, 2, 5, 21, 4]):
            tensors[f"stream/{seed}/{i}"] = torch.randn(size, generator=generator)
    # A long draw, sampled: every 997th of a million values, to see the extremes of log, sine and cosine.
    million = torch.randn(1_000_003, generator=torch.Generator().manual_seed(7))
    tensors["million/every_997th"] = million[::997].clone()
    tensors["million/last_16"] = million[-16:].clone()
    save_file(tensors, path)


main(sys.argv[1])

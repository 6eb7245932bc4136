"""PyTorch on the same machine, for `make bench`: lines of {"name", "operations", "seconds"}.

On a GPU (--wan) the shapes of Wan's 14B transformer in bf16; else f32 on the processor, whose time is measured as the bench's own is.
"""

import json
import os
import sys
import time

import torch
import torch.nn.functional as F

gpu = torch.cuda.is_available() and "--wan" in sys.argv
device = "cuda" if gpu else "cpu"
dtype = torch.bfloat16 if gpu else torch.float32
processor = "BENCH_PROCESSOR_TIME" in os.environ
torch.set_grad_enabled(False)


def now():
    if gpu:
        torch.cuda.synchronize()
    return time.process_time() / os.cpu_count() if processor and not gpu else time.perf_counter()


def clock(name, operations, work):
    work()
    best = float("inf")
    for _ in range(3):
        begun = now()
        work()
        best = min(best, now() - begun)
    print(json.dumps({"name": name, "operations": operations, "seconds": max(best, 1e-9)}), flush=True)


def matmul(rows, cols, inner):
    x, w = torch.randn(rows, inner, device=device, dtype=dtype), torch.randn(cols, inner, device=device, dtype=dtype)
    clock(f"matmul {rows}x{cols}x{inner} {dtype}", 2 * rows * cols * inner, lambda: F.linear(x, w))


def attention(tokens, heads, dim):
    q = torch.randn(1, heads, tokens, dim, device=device, dtype=dtype)
    clock(f"attention {tokens} tokens, {heads} heads of {dim} {dtype}", 4 * tokens * tokens * heads * dim, lambda: F.scaled_dot_product_attention(q, q, q))


def block(name, heads, ffn, grid):
    """diffusers' block of Wan's transformer, where diffusers is installed. It computes keys and values of the text anew in each step."""
    try:
        from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed, WanTransformerBlock
    except ImportError:
        return
    width, tokens = heads * 128, grid[0] * grid[1] * grid[2] // 4
    layer = WanTransformerBlock(width, ffn, heads, cross_attn_norm=True).to(device, dtype).eval()
    x, text = torch.randn(1, tokens, width, device=device, dtype=dtype), torch.randn(1, 512, width, device=device, dtype=dtype)
    time, angles = torch.randn(1, 6, width, device=device), WanRotaryPosEmbed(128, (1, 2, 2), 1024).to(device)(torch.zeros(1, 16, *grid, device=device))
    products = 2 * tokens * (6 * width * width + 2 * width * ffn) + 4 * 512 * width * width
    clock(f"{name} block, {tokens} tokens {dtype}", products + 4 * tokens * (tokens + 512) * width, lambda: layer(x, text, time, angles))


if gpu:
    matmul(32768, 5120, 5120)
    matmul(32768, 13824, 5120)
    matmul(32768, 5120, 13824)
    attention(32760, 40, 128)
    attention(75600, 40, 128)
    block("14B", 40, 13824, [21, 60, 104])
    block("14B", 40, 13824, [21, 90, 160])
else:
    matmul(1024, 1024, 1024)
    attention(1024, 4, 128)
    x, w = torch.randn(1, 128, 5, 34, 34), torch.randn(128, 128, 3, 3, 3)
    clock("conv [3, 32, 32, 128] to 128", 2 * 3 * 32 * 32 * 128 * 128 * 27, lambda: F.conv3d(x, w))
    block("1.3B", 12, 8960, [4, 32, 32])
    block("14B", 40, 13824, [1, 32, 32])

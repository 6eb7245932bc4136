"""Trains the demo's transformer by flow matching on what `latents.py` stored.

    torchrun --nproc-per-node 2 dit.py OUT [--steps N]    # OUT/transformer, by OUT/latents and OUT/face.pt

Goes on from OUT/dit.pt where that exists. Each process takes half of a batch.
"""

import argparse
import math
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from diffusers import WanAnimateTransformer3DModel

import face
import parts
from muon import Average, Both

SEED = 3
BATCH = 16
SHIFT = 5.0  # noise levels are drawn as the scheduler spaces them
NO_POSE, NO_FACE = 0.05, 0.1  # how often these are left out
SAVE_EVERY = 100


class PaddedOnce:
    """Cross-attention to an image and a prompt that is filled up with equal keys: one of them, counted as often."""

    def __init__(self, text: int, padding: int):
        self.text, self.padding = text, padding

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
        image, text = encoder_hidden_states[:, : -self.text], encoder_hidden_states[:, -self.text :]

        def heads(x):
            return x.unflatten(2, (attn.heads, -1)).transpose(1, 2)

        query = heads(attn.norm_q(attn.to_q(hidden_states)))
        bias = torch.zeros(1, self.text, dtype=query.dtype)
        bias[0, -1] = math.log(self.padding)
        out = F.scaled_dot_product_attention(query, heads(attn.norm_k(attn.to_k(text))), heads(attn.to_v(text)), attn_mask=bias)
        out = out + F.scaled_dot_product_attention(query, heads(attn.norm_added_k(attn.add_k_proj(image))), heads(attn.add_v_proj(image)))
        return attn.to_out[0](out.transpose(1, 2).flatten(2))


class Told(torch.nn.Module):
    """In the place of the motion encoder: its results are what comes in."""

    def forward(self, motion: torch.Tensor) -> torch.Tensor:
        return motion.flatten(1)


class Trained(torch.nn.Module):
    """The transformer without what training need not compute again: the motion encoder, and equal text keys."""

    def __init__(self):
        super().__init__()
        prompt = parts.prompt()
        self.prompt = torch.cat([prompt, torch.zeros(1, prompt.shape[1])])
        self.model = parts.transformer()
        self.model.motion_encoder = Told()
        for block in self.model.blocks:
            block.attn2.set_processor(PaddedOnce(len(self.prompt), parts.TEXT_LENGTH - len(prompt)))

    def forward(self, latents: torch.Tensor, sigma: torch.Tensor, batch: dict) -> torch.Tensor:
        """`latents` [B, 16, T + 1, H, W] noised to `sigma` [B]; gives their velocity, noise less signal."""
        with torch.autocast("cpu", torch.bfloat16):
            return self.model(
                hidden_states=torch.cat([latents, known(batch)], 1),
                timestep=(1000 * sigma).floor(),
                encoder_hidden_states=self.prompt.expand(len(latents), -1, -1),
                encoder_hidden_states_image=batch["image"],
                pose_hidden_states=batch["pose"],
                face_pixel_values=batch["motion"].transpose(1, 2)[..., None, None],
                motion_encode_batch_size=1 << 20,
                return_dict=False,
            )[0].float()


def known(batch: dict) -> torch.Tensor:
    """Mask and conditioning latents, the reference in front."""
    reference = F.pad(batch["reference"], (0, 0, 0, 0, 0, 0, 4, 0), value=1.0)
    return torch.cat([reference, torch.cat([batch["mask"], batch["condition"]], 1)], 2)


def spaced(uniform: torch.Tensor) -> torch.Tensor:
    return SHIFT * uniform / (1 + (SHIFT - 1) * uniform)


def weight(head: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Counts the face more, and the reference's own frame less; `head` is [B, F, 2] in pixels."""
    (steps, height, width), centres = shape[-3:], head[:, ::4] / 8
    y, x = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    far = (x - centres[..., None, None, 0]) ** 2 + (y[:, None] - centres[..., None, None, 1]) ** 2
    faces = 1 + 2 * torch.exp(-far / 4)
    return torch.cat([torch.full_like(faces[:, :1], 0.1), faces], 1).unsqueeze(1)


def loss(model: Trained, batch: dict, blank: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    count = len(batch["target"])
    target = torch.cat([batch["reference"], batch["target"]], 2)
    without = torch.rand(2, count, generator=random) < torch.tensor([[NO_POSE], [NO_FACE]])
    batch["pose"][without[0]] = 0
    batch["motion"][without[1]] = blank
    noise = torch.randn(target.shape, generator=random)
    sigma = spaced((torch.arange(count) + torch.rand(1, generator=random)) / count)
    blend = sigma.view(-1, 1, 1, 1, 1)
    velocity = model(blend * noise + (1 - blend) * target, sigma, batch)
    return ((velocity - (noise - target)).square() * weight(batch["head"], target.shape)).mean()


def read(folder: Path) -> dict[str, torch.Tensor]:
    files = [torch.load(file) for file in sorted((folder / "latents").glob("*.pt"))]
    return {name: torch.cat([file[name] for file in files]) for name in files[0]}


def whole(state: dict, folder: Path) -> WanAnimateTransformer3DModel:
    """The transformer with its motion encoder."""
    model = parts.transformer()
    motion = {f"motion_encoder.{name}": value for name, value in torch.load(folder / "face.pt").items()}
    model.load_state_dict({name.removeprefix("model."): value for name, value in state.items()} | motion)
    return model.eval()


def average_gradients(model: torch.nn.Module) -> None:
    """The mean over all processes."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, mean in zip(gradients, (flat / dist.get_world_size()).split([gradient.numel() for gradient in gradients])):
        gradient.copy_(mean.view_as(gradient))


def train(folder: Path, steps: int) -> None:
    rank, share = dist.get_rank(), BATCH // dist.get_world_size()
    data, model, random = read(folder), Trained(), torch.Generator().manual_seed(SEED)
    motion = face.build()
    motion.load_state_dict(torch.load(folder / "face.pt"))
    blank = motion(torch.full((1, 3, *[face.SIZES["size"]] * 2), -1.0)).detach()
    plain = ("patch_embedding", "proj_out", "scale_shift_table", "padding_tokens", "time_embedder.linear_1")
    optimizer, average = Both(model, steps, 0.015, 2e-3, plain), Average(model, 0.995)
    state_file = folder / "dit.pt"
    if state_file.exists():
        state = torch.load(state_file)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.weights, average.steps = state["average"], optimizer.done
    begun, losses = time.time(), []
    while optimizer.done < steps:
        random.manual_seed(SEED + 1000 * (dist.get_world_size() * optimizer.done + rank))
        chosen = torch.randint(len(data["target"]), (share,), generator=random)
        value = loss(model, {name: values[chosen].float() for name, values in data.items()}, blank, random)
        value.backward()
        average_gradients(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update(model)
        losses.append(value.item())
        if rank == 0 and optimizer.done % 50 == 0:
            print(f"{optimizer.done}/{steps}: loss {sum(losses) / len(losses):.4f}, {time.time() - begun:.0f} s", flush=True)
            losses = []
        if rank == 0 and (optimizer.done % SAVE_EVERY == 0 or optimizer.done == steps):
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": average.weights}, state_file)
            whole(average.weights, folder).save_pretrained(folder / "transformer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=1400)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.backends.cuda.enable_flash_sdp(False)  # on the CPU too; plain attention is faster at these sizes
    dist.init_process_group("gloo")
    train(arguments.out, arguments.steps)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

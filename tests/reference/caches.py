"""Makes tests/goldens/caches/: which steps caches of others compute on tiny models, and the latents that come of it.

    [EASYCACHE=DIR] [TEACACHE=DIR] python caches.py [--out ../goldens/caches]

`EASYCACHE` and `TEACACHE` are checkouts of https://github.com/H-EmbodVis/EasyCache (the goldens:
commit 5127804) and https://github.com/ali-vilab/TeaCache (7c10efc), which are on no package index; cases of one that is not given stay as
they are. Their published `forward` runs as it is, over the modules of diffusers' model.

- `t2v` is a checkpoint of four blocks; the others are those of family_goldens.py and goldens.py.
- `NOISE.safetensors` has the noise of each checkpoint.
- `cases.json`: by name the checkpoint, our cache of the same meaning, and `computed`, a 1 for each step in which any branch computed all blocks.
- `latents.safetensors` has the last latents of each case, `calibration.json` the levels and ratios that diffusers' MagCache measures.

A case's thresholds lie well between the changes that its run has, so that rounding decides nothing.
"""

import argparse
import contextlib
import json
import math
import os
import re
import subprocess
import types
from pathlib import Path

import numpy as np
import torch
from diffusers import FirstBlockCacheConfig, MagCacheConfig, TaylorSeerCacheConfig
from diffusers.hooks import HookRegistry
from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry
from diffusers.hooks.mag_cache import MagCacheBlockHook
from diffusers.utils import logging
from safetensors.torch import load_file

import checkpoint
import family
import parts
import run as animate

GOLDENS = Path(__file__).parent.parent / "goldens"
T2V = family.FamilySpec(seed=26, kind="t2v", layers=4, **family.SMALL)
STEPS = 20
VIDEO = {
    "num_frames": 9,
    "num_inference_steps": STEPS,
    "guidance_scale": 3.0,
    "guidance_scale_2": None,
    "prompt": "a person dances in the park and waves both hands",
    "negative_prompt": "blurry, worst quality",
    "seed": 42,
    "width": 48,
    "height": 32,
    "image": None,
    "last_image": None,
}
ANIMATE = {
    "mode": "animate",
    "num_frames": 5,
    "segment_frame_length": 5,
    "prev_segment_conditioning_frames": 1,
    "num_inference_steps": STEPS,
    "guidance_scale": 2.0,
    "prompt": "a person dances in the park and waves both hands",
    "negative_prompt": "blurry, worst quality",
    "seed": 42,
    "width": 48,
    "height": 32,
    "reference": "inputs/reference.png",
    "pose": "inputs/pose",
    "face": "inputs/face_16",
    "background": None,
    "mask": None,
}


class WithAdapter(torch.nn.Module):
    """A block of Animate, and the face adapter after it: what is one layer to us."""

    def __init__(self, block: torch.nn.Module, adapter: torch.nn.Module | None, face: list):
        super().__init__()
        self.block, self.adapter, self.face = block, adapter, face

    def forward(self, hidden_states, encoder_hidden_states=None, temb=None, rotary_emb=None):
        hidden_states = self.block(hidden_states, encoder_hidden_states, temb, rotary_emb)
        if self.adapter is None:
            return hidden_states
        motion = self.face[0]
        return self.adapter(hidden_states, torch.cat([torch.zeros_like(motion[:, :1]), motion], dim=1)) + hidden_states


class Nothing(torch.nn.Module):
    def forward(self, hidden_states, _motion):
        return torch.zeros_like(hidden_states)


TransformerBlockRegistry.register(
    WithAdapter, TransformerBlockMetadata(return_hidden_states_index=0, return_encoder_hidden_states_index=None)
)


class Whole(torch.nn.Module):
    """All blocks as one, of which what they add can be hooked."""

    def __init__(self, blocks: torch.nn.ModuleList):
        super().__init__()
        self.residual = Residual(blocks)

    def forward(self, hidden_states, *rest):
        return hidden_states + self.residual(hidden_states, *rest)


class Residual(torch.nn.Module):
    def __init__(self, blocks: torch.nn.ModuleList):
        super().__init__()
        self.inner = blocks

    def forward(self, hidden_states, *rest):
        after = hidden_states
        for block in self.inner:
            after = block(after, *rest)
        return after - hidden_states


class Computed:
    """By pass of a transformer, whether a block was computed that any cache may leave out."""

    def __init__(self, model: torch.nn.Module):
        self.passes: list[bool] = []
        model.register_forward_pre_hook(lambda *_: self.passes.append(False))
        model.blocks[min(2, len(model.blocks) - 1)].ffn.register_forward_hook(self._seen)

    def _seen(self, *_):
        self.passes[-1] = True

    def steps(self, branches: int) -> str:
        steps = zip(*[iter(self.passes)] * branches)
        return "".join("1" if any(branches) else "0" for branches in steps)


def load(name: str, out: Path):
    if name == "tiny":
        pipe = animate.load(GOLDENS / name)
    else:
        folder = out / "t2v" if name == "t2v" else GOLDENS / "family" / name
        pipe = family.load(folder, with_image=name == "i2v_clip")
    return pipe, Computed(pipe.transformer)


def wrap(pipe) -> None:
    """Makes one layer of each block of Animate and its adapter."""
    model, face = pipe.transformer, [None]
    every = model.config.inject_face_latents_blocks
    adapters = [model.face_adapter[index // every] if index % every == 0 else None for index in range(len(model.blocks))]
    layers = zip(model.blocks, adapters)
    model.face_encoder.register_forward_hook(lambda _module, _inputs, output: face.__setitem__(0, output))
    model.blocks = torch.nn.ModuleList(WithAdapter(block, adapter, face) for block, adapter in layers)
    model.face_adapter = torch.nn.ModuleList(Nothing() for _ in model.face_adapter)


def make(pipe, name: str):
    """The noise, and the last latents."""
    if name == "tiny":
        noise, expected = animate.run(pipe, ANIMATE, GOLDENS)
    else:
        image = "inputs/image.png" if name == "i2v_clip" else None
        noise, expected = family.run(pipe, {**VIDEO, "image": image}, GOLDENS / "family")
    return noise, expected[f"segment_0.step_{STEPS - 1}"]


def by_diffusers(config):
    def enable(pipe):
        HookRegistry.check_if_exists_or_initialize(pipe.transformer)
        pipe.transformer.enable_cache(config)

    return enable


def taylor(interval: int, order: int):
    config = TaylorSeerCacheConfig(
        cache_interval=interval,
        max_order=order,
        taylor_factors_dtype=torch.float32,
        cache_identifiers=[r"blocks\.0\.residual"],
    )

    def enable(pipe):
        pipe.transformer.blocks = torch.nn.ModuleList([Whole(pipe.transformer.blocks)])
        by_diffusers(config)(pipe)

    return enable


def dual(**options):
    def enable(pipe):
        import cache_dit

        cache_dit.enable_cache(pipe, cache_config=cache_dit.DBCacheConfig(num_inference_steps=STEPS, **options))

    return enable


def published(variable: str, file: str, function: str, **state):
    """The forward of a repository, over the modules of diffusers' model."""

    def enable(pipe):
        repository = os.environ[variable]
        text = subprocess.run(["git", "-C", repository, "show", f"HEAD:{file}"], check=True, capture_output=True, text=True).stdout
        source = re.search(rf"^def {function}\(.*?(?=^def )", text, re.S | re.M).group()
        model = pipe.transformer
        embedder = model.condition_embedder
        amp = types.SimpleNamespace(autocast=lambda **_: contextlib.nullcontext())
        names = {"torch": torch, "np": np, "amp": amp, "sinusoidal_embedding_1d": lambda _dim, t: embedder.timesteps_proj(t)}
        exec(source, names)
        own = Modules(model, state)
        model.forward = lambda hidden_states, timestep, encoder_hidden_states, **_: (
            own.call(names[function], hidden_states, timestep, encoder_hidden_states),
        )

    return enable


class Modules:
    """What the published code looks for in the model of the official release."""

    def __init__(self, model: torch.nn.Module, state: dict):
        embedder = model.condition_embedder
        self.model, self.model_type, self.freqs = model, "t2v", torch.zeros(1)
        self.patch_embedding, self.freq_dim, self.text_len = model.patch_embedding, model.config.freq_dim, 512
        self.dim = model.config.num_attention_heads * model.config.attention_head_dim
        self.time_embedding, self.text_embedding = embedder.time_embedder, embedder.text_embedder
        self.time_projection = lambda e: embedder.time_proj(embedder.act_fn(e))
        self.cnt = 0
        vars(self).update(state)

    def call(self, forward, latents, timestep, text):
        self.rotary, self.shape = self.model.rope(latents), latents.shape
        self.blocks = [self._block(block) for block in self.model.blocks]
        tokens = math.prod(latents.shape[2:]) // 4
        return torch.stack(forward(self, list(latents), timestep, list(text), tokens))

    def _block(self, block):
        return lambda x, e, context, **_: block(x, context, e, self.rotary)

    def head(self, x, e):
        shift, scale = (self.model.scale_shift_table + e.unsqueeze(1)).chunk(2, dim=1)
        return self.model.proj_out(self.model.norm_out(x) * (1 + scale) + shift)

    def unpatchify(self, x, _grid):
        batch, _, frames, height, width = self.shape
        x = x.reshape(batch, frames, height // 2, width // 2, 1, 2, 2, -1).permute(0, 7, 1, 4, 2, 5, 3, 6)
        return list(x.flatten(6, 7).flatten(4, 5).flatten(2, 3))


def calibrate(out: Path, name: str) -> list:
    """(level, ratio) by step with the prompt, as diffusers' MagCache measures them."""
    pipe, _ = load(name, out)
    if name == "tiny":
        wrap(pipe)
    ratios, measure = [], MagCacheBlockHook._perform_calibration_step

    def record(hook, state, residual):
        measure(hook, state, residual)
        ratios.append(state.calibration_ratios[-1])

    MagCacheBlockHook._perform_calibration_step = record
    with contextlib.redirect_stdout(None):
        by_diffusers(MagCacheConfig(calibrate=True, num_inference_steps=STEPS))(pipe)
        make(pipe, name)
    MagCacheBlockHook._perform_calibration_step = measure
    return [[float(sigma), ratio] for sigma, ratio in zip(pipe.scheduler.sigmas, ratios[::2], strict=False)]


def mag(calibration: dict, name: str, threshold: float, most: int, retention: float):
    config = MagCacheConfig(
        threshold=threshold,
        max_skip_steps=most,
        retention_ratio=retention,
        num_inference_steps=STEPS,
        mag_ratios=[ratio for _, ratio in calibration[name]],
    )
    return by_diffusers(config)


EASY = {"k": None, "num_steps": 2 * STEPS, "ret_steps": 10 * 2, "cutoff_steps": 2 * STEPS - 2}
TEA = {
    "enable_teacache": True,
    "use_ref_steps": False,
    "num_steps": 2 * STEPS,
    "ret_steps": 1 * 2,
    "cutoff_steps": 2 * STEPS - 2,
    "coefficients": [2.39676752e03, -1.31110545e03, 2.01331979e02, -8.29855975e00, 1.37887774e-01],
    "accumulated_rel_l1_distance_even": 0,
    "accumulated_rel_l1_distance_odd": 0,
}


def cases(calibration: dict):
    """Name, checkpoint, our cache with its bounds, and what makes it of a pipeline of diffusers."""
    for name in ("t2v", "i2v_clip", "tiny"):
        for threshold in FIRST_BLOCK[name]:
            enable = by_diffusers(FirstBlockCacheConfig(threshold=threshold))
            yield f"{name}/first_block/{threshold}", name, {"method": f"first-block:{threshold}"}, enable
        for threshold, most, retention in MAG[name]:
            ours = {"method": f"mag:{threshold}:{most}:{retention}", "end": STEPS}
            yield f"{name}/mag/{threshold}", name, ours, mag(calibration, name, threshold, most, retention)
        for interval, order in ((3, 1), (4, 2), (2, 0)):
            yield f"{name}/taylor/{interval}_{order}", name, {"method": f"taylor:{interval}:{order}"}, taylor(interval, order)
    for threshold, front, back, first, run, total in DUAL:
        ours = {"method": f"dual-block:{threshold}:{front}:{back}", "start": first + 1, "max_consecutive": run, "max_reused": total}
        enable = dual(
            Fn_compute_blocks=front,
            Bn_compute_blocks=back,
            residual_diff_threshold=threshold,
            max_warmup_steps=first,
            max_continuous_cached_steps=run or -1,
            max_cached_steps=total or -1,
        )
        ours = {key: value for key, value in ours.items() if value is not None}
        yield f"t2v/dual_block/{threshold}_{front}_{back}", "t2v", ours, enable
    if "EASYCACHE" in os.environ:
        for threshold in EASY_THRESHOLDS:
            enable = published("EASYCACHE", "EasyCache4Wan2.1/easycache_generate.py", "easycache_forward", thresh=threshold, **EASY)
            yield f"t2v/easy/{threshold}", "t2v", {"method": f"easy:{threshold}"}, enable
    if "TEACACHE" in os.environ:
        for distance in TEA_DISTANCES:
            enable = published("TEACACHE", "TeaCache4Wan2.1/teacache_generate.py", "teacache_forward", teacache_thresh=distance, **TEA)
            yield f"t2v/tea/{distance}", "t2v", {"method": f"tea:{distance}"}, enable


FIRST_BLOCK = {"t2v": (0.25, 0.4), "i2v_clip": (0.1, 0.15), "tiny": (0.15, 0.25)}
MAG = {"t2v": ((0.06, 2, 0.2), (0.2, 4, 0.1)), "i2v_clip": ((0.1, 3, 0.2),), "tiny": ((0.1, 3, 0.2),)}
DUAL = ((0.4, 1, 0, 4, None, None), (0.5, 1, 1, 2, None, 6), (0.4, 2, 1, 3, 2, None), (1.0, 2, 1, 3, 2, None))
EASY_THRESHOLDS = (0.5, 1.0, 2.0)
TEA_DISTANCES = (300.0, 1000.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=GOLDENS / "caches")
    out = parser.parse_args().out
    logging.set_verbosity_error()
    torch.set_num_threads(1)  # sums do not depend on how many cores there are
    torch.set_grad_enabled(False)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint.save_pipeline(family.pipeline(T2V), out / "t2v")
    calibration = {name: calibrate(out, name) for name in ("t2v", "i2v_clip", "tiny")}
    (out / "calibration.json").write_text(json.dumps(calibration, indent=1) + "\n")
    listed, latents = out / "cases.json", out / "latents.safetensors"
    known = json.loads(listed.read_text()) if listed.exists() else {}
    tensors = load_file(latents) if latents.exists() else {}
    for case, name, ours, enable in cases(calibration):
        pipe, computed = load(name, out)
        if name == "tiny":
            wrap(pipe)
        enable(pipe)
        noise, tensors[case] = make(pipe, name)
        known[case] = {"checkpoint": name, **ours, "computed": computed.steps(2)}
        parts.write(noise, out / f"{name}.safetensors")
        print(case, known[case]["computed"])
    listed.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
    parts.write({name: tensors[name] for name in known}, latents)


if __name__ == "__main__":
    main()

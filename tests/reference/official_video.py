"""Frames that the official code makes from text and images, of tiny checkpoints in the layout of its releases: see `official.py`.

    WAN_OFFICIAL=DIR python tests/reference/official_video.py t2v|i2v|ti2v [OUT]
    WAN_OFFICIAL=DIR_2_1 python tests/reference/official_video.py i2v_2_1 [OUT]

`DIR_2_1` is a checkout of https://github.com/Wan-Video/Wan2.1 (the goldens: commit 9737cba).
"""

import argparse
import importlib
import shutil
import sys
import tempfile
import types
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from checkpoint import tokenizer
from official import CLIP, GOLDENS, TEXT, Release, Torch, image, open_package, sdpa

SIZE, FRAMES, STEPS = (48, 32), 5, 4
PROMPT = "two cats box on a stage"
CLIP_SIZES = dict(image_size=56, patch_size=14, vision_layers=2, vision_mlp_ratio=0.125, vocab_size=11, max_text_len=8, embed_dim=8)
CLIP_SIZES |= dict(text_dim=8, text_heads=1, text_layers=1)

KINDS = {
    "t2v": dict(pipeline="text2video.WanT2V", config="t2v_A14B", vae="vae2_1", in_dim=16, text_len=40),
    "i2v": dict(pipeline="image2video.WanI2V", config="i2v_A14B", vae="vae2_1", in_dim=36, text_len=40),
    "ti2v": dict(pipeline="textimage2video.WanTI2V", config="ti2v_5B", vae="vae2_2", in_dim=48, text_len=40),
    # The code of Wan2.1 takes the last 512 tokens for those of the text, and has these settings in its command line.
    "i2v_2_1": dict(pipeline="image2video.WanI2V", config="i2v_14B", vae="vae", in_dim=36, text_len=512, shift=3.0, guide_scale=5.0),
}
# What is not said is as the official command line has it.
CASES = {
    "t2v": dict(unipc={}, dpm={"sample_solver": "dpm++"}),
    "i2v": dict(unipc={}, dpm={"sample_solver": "dpm++", "shift": 3.0}),
    "ti2v": dict(text={}, image={}),
    "i2v_2_1": dict(small={}, shifted={"shift": 5.0}),
}


class VideoTorch(Torch):
    """`torch` for those pipelines."""

    amp = types.SimpleNamespace(autocast=Torch.autocast)
    cuda = types.SimpleNamespace(empty_cache=lambda: None, synchronize=lambda: None)


def load(kind):
    """The pipeline's class and the configuration, for the CPU and f32."""
    open_package()
    sys.modules["imageio"] = types.ModuleType("imageio")
    name, _, pipeline = kind["pipeline"].partition(".")
    module = importlib.import_module("wan." + name)
    module.torch = VideoTorch()
    importlib.import_module("wan.modules.model").flash_attention = sdpa
    config = getattr(importlib.import_module(f"wan.configs.wan_{kind['config']}"), kind["config"])
    config.param_dtype = config.t5_dtype = config.clip_dtype = torch.float32
    config.text_len = kind["text_len"]
    return getattr(module, pipeline), config


def build(name, release, pipeline, config):
    """Writes the release, and returns the pipeline that the official code makes of it."""
    kind, folder = KINDS[name], release.folder
    folder.mkdir(parents=True)
    words = tokenizer(Path(tempfile.mkdtemp()))
    words.save_pretrained(folder / "google" / "umt5-xxl")
    t5 = importlib.import_module("wan.modules.t5")
    # The transformer's `config.json` does not have the width of texts, so that it is as published.
    text = partial(t5.T5Encoder, vocab=len(words), num_layers=2, dim=4096, dim_attn=16, dim_ffn=24, num_heads=2, num_buckets=32, shared_pos=False)
    release.save(TEXT, text(), "bf16")
    t5.umt5_xxl = lambda dtype, **_: text().to(dtype)
    autoencoder(name, release, config)
    if "clip_checkpoint" in config:
        image_encoder(release)
    for expert in (config.high_noise_checkpoint, config.low_noise_checkpoint) if "boundary" in config else ("",):
        transformer(name, release, expert)
    return pipeline(config, str(folder))


def autoencoder(name, release, config):
    vae = importlib.import_module("wan.modules." + KINDS[name]["vae"])
    sizes = dict(dim=4, z_dim=16, dim_mult=[1, 2, 2, 2], num_res_blocks=2, temperal_downsample=[False, True, True])
    if name == "ti2v":
        sizes |= dict(z_dim=48, dec_dim=8)
    release.save(config.vae_checkpoint, vae.WanVAE_(**sizes))
    original = vae._video_vae
    vae._video_vae = lambda **options: original(**{**options, **sizes})


def image_encoder(release):
    clip = importlib.import_module("wan.modules.clip")
    clip.flash_attention = sdpa
    clip.HuggingfaceTokenizer = lambda **_: None
    release.save(CLIP, clip.XLMRobertaCLIP(**CLIP_SIZES))
    clip.clip_xlm_roberta_vit_h_14 = lambda **_: clip._clip(pretrained_name="open-clip", return_transforms=True, **CLIP_SIZES)


def transformer(name, release, expert):
    kind, model = KINDS[name], importlib.import_module("wan.modules.model")
    sizes = dict(dim=24, ffn_dim=40, freq_dim=32, num_heads=2, num_layers=2, text_len=kind["text_len"], in_dim=kind["in_dim"])
    model = model.WanModel(model_type=name.removesuffix("_2_1"), out_dim=48 if name == "ti2v" else 16, **sizes)
    file = str(Path(expert) / "diffusion_pytorch_model.safetensors")
    model.load_state_dict(release.state(file, model.state_dict()))
    model.save_pretrained(release.folder / expert)


def run(name, made, config, case, options, picture):
    """Frames [F, H, W, 3] in [0, 1]."""
    official = dict(shift=config.get("sample_shift"), guide_scale=config.get("sample_guide_scale"))
    own = {key: value for key, value in KINDS[name].items() if key in official}
    settings = official | own | dict(frame_num=FRAMES, sampling_steps=STEPS, seed=1, offload_model=False) | options
    if name == "t2v":
        video = made.generate(PROMPT, size=SIZE, **settings)
    elif name == "ti2v":
        size = (2 * SIZE[1], SIZE[1])
        video = made.generate(PROMPT, img=picture if case == "image" else None, size=size, max_area=size[0] * size[1], **settings)
    else:
        # A little more, as the official code rounds down.
        video = made.generate(PROMPT, picture, max_area=SIZE[0] * SIZE[1] + 64, **settings)
    return (video.permute(1, 2, 3, 0) * 0.5 + 0.5).contiguous()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    out = options.out or GOLDENS.parent / options.kind
    pipeline, config = load(KINDS[options.kind])
    shutil.rmtree(out, ignore_errors=True)
    release = Release(out / "model", options.seed, "f32")
    made = build(options.kind, release, pipeline, config)
    picture = Image.fromarray(image(options.seed, 90, 60, 9))
    picture.save(out / "image.png", optimize=True)
    for name, case in CASES[options.kind].items():
        frames = run(options.kind, made, config, name, case, picture)
        print(options.kind, name, tuple(frames.shape), f"mean {frames.mean():.3f}, deviation {frames.std():.3f}")
        save_file({"frames": frames.float()}, out / f"{name}.safetensors")
    if options.out is None:
        release.forget()


if __name__ == "__main__":
    main()

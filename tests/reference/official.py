"""Tiny checkpoints in the layout of the official release, and the frames that the official code makes of them.

    WAN_OFFICIAL=DIR python tests/reference/official.py [OUT] [--seed 0] [--heads 2] [--head-dim 12] [--layers 5] ..

`DIR` is a checkout of https://github.com/Wan-Video/Wan2.2 (the goldens: commit 42bf4cf), which is on no package index; its classes are imported
from there as they are, and its `WanAnimate` runs on the CPU in f32: bfloat16 and float16 mean float32 to it, flash attention is torch's scaled dot
product, videos are folders of images. Needs torch 2.9.1, diffusers 0.42.1, accelerate, peft 0.21.2, transformers 5.23.0,
opencv-python-headless, einops, easydict, ftfy, sentencepiece.

The motion encoder, the face encoder and CLIP have fixed widths: a checkpoint has 250 MB. Its weights follow from a formula, so that the goldens
hold `tensors.json` in their place, and the test makes the files. With `OUT` everything is written as the release has it.
"""

import argparse
import contextlib
import hashlib
import json
import math
import os
import shutil
import sys
import tempfile
import types
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

from checkpoint import tokenizer

GOLDENS = Path(__file__).parent.parent / "goldens" / "official" / "animate"
LORA_RANK = 8
WIDTH, HEIGHT = 48, 32
FRAMES, FACES = 13, 5
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
TEXT, CLIP = "models_t5_umt5-xxl-enc-bf16.pth", "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"
VAE, TRANSFORMER, LORA = "Wan2.1_VAE.pth", "diffusion_pytorch_model.safetensors", "relighting_lora.ckpt"

SIZES = dict(seed=0, heads=2, head_dim=12, layers=5, ffn_dim=40, freq_dim=32, text_dim=16, text_heads=2, clip_patch=14, vae_dim=4)


def sdpa(q, k, v, **_):
    """Attention of [B, L, N, D]; nothing is padded here, so lengths do not matter."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).contiguous()


class Torch:
    """`torch` for the official pipeline: one device, one precision."""

    bfloat16 = float16 = torch.float32

    def __getattr__(self, name):
        return getattr(torch, name)

    def device(self, *_):
        return torch.device("cpu")

    def autocast(self, *_, **__):
        return contextlib.nullcontext()


class VideoReader:
    """What the pipeline uses of decord: `src_pose.mp4` is the folder `pose`. A face that is not wanted is black."""

    frames, face = FRAMES, True

    def __init__(self, path):
        self.folder = Path(path.replace("src_", "")).with_suffix("")

    def __len__(self):
        return self.frames

    def get_batch(self, indices):
        files = sorted(self.folder.iterdir())
        black = self.folder.name == "face" and not self.face
        frames = [np.zeros((512, 512, 3), np.uint8) if black else np.asarray(Image.open(files[i])) for i in indices]
        return types.SimpleNamespace(asnumpy=lambda: np.stack(frames))


def normalize(mean, std):
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (mean, std))
    return lambda pixels: (pixels - mean) / std


def open_package():
    """Makes `wan` a package without its own `__init__`, which imports all pipelines."""
    root = os.environ.get("WAN_OFFICIAL")
    if not root or not Path(root, "wan").is_dir():
        sys.exit("set WAN_OFFICIAL to a checkout of https://github.com/Wan-Video/Wan2.2")
    torch.cuda.current_device = lambda: "cpu"
    package = types.ModuleType("wan")
    package.__path__ = [str(Path(root, "wan"))]
    transforms = types.SimpleNamespace(
        Compose=lambda steps: types.SimpleNamespace(transforms=steps),
        Resize=lambda *_, **__: None,
        ToTensor=lambda: None,
        Normalize=normalize,
        InterpolationMode=types.SimpleNamespace(BICUBIC=None),
        functional=types.SimpleNamespace(to_tensor=lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255),
    )
    vision, decord = types.ModuleType("torchvision"), types.ModuleType("decord")
    vision.transforms, decord.VideoReader = transforms, VideoReader
    modules = {"wan": package, "torchvision": vision, "torchvision.transforms": transforms, "decord": decord}
    sys.modules.update(modules | {"torchvision.transforms.functional": transforms.functional})


def import_official():
    """The modules that Animate needs."""
    open_package()
    import wan.animate
    import wan.configs.wan_animate_14B
    import wan.modules.animate.clip
    import wan.modules.animate.face_blocks
    import wan.modules.animate.model_animate
    import wan.modules.model

    wan.animate.torch = Torch()
    wan.modules.animate.face_blocks.flash_attn_func = sdpa
    for module in (wan.modules.model, wan.modules.animate.model_animate, wan.modules.animate.clip):
        module.flash_attention = sdpa
    wan.modules.animate.clip.HuggingfaceTokenizer = lambda **_: None
    remember_motion(wan.modules.animate.model_animate.Generator)
    return wan


def remember_motion(generator):
    """The official model encodes the same faces again at every step, which takes minutes here."""
    encode, known = generator.get_motion, {}

    def get_motion(self, faces):
        key = hashlib.sha256(faces.numpy().tobytes()).digest()
        known[key] = known[key] if key in known else encode(self, faces)
        return known[key]

    generator.get_motion = get_motion


def values(key, shape, mean, scale):
    """`mean` and up to `scale` more or less, the same numbers wherever IEEE's arithmetic is: a hash of each element's index."""
    x = np.arange(math.prod(shape), dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(key)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> np.uint32(16)
    unit = (x >> np.uint32(8)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    return torch.from_numpy(unit * np.float32(scale) + np.float32(mean)).reshape(shape)


# Scales, times 1 / sqrt(inputs) where the first is false; the first that fits counts.
SCALES = [
    ("motion_encoder", True, 1.7), ("direction.weight", True, 1.7), ("embedding", True, 0.9), ("padding_tokens", True, 1.7), ("modulation", True, 0.4),
    ("decoder.head.2.weight", False, 0.9), ("attn.q.weight", False, 0.7), ("text_embedding.2", False, 5.0), ("lora_", True, 0.4), ("", False, 1.7),
]


class Release:
    """Writes files of the release, with what their tensors are made of."""

    def __init__(self, folder, seed, dtype):
        self.folder, self.seed, self.dtype = folder, seed, dtype
        self.files = {}

    def state(self, file, tensors, buffers=(), dtype="f32"):
        """A state dict with every tensor random, none zero; buffers stay."""
        state, lines = dict(tensors), []
        for name, tensor in tensors.items():
            shape = list(tensor.shape)
            key, (mean, scale) = zlib.crc32(f"{self.seed} {file} {name}".encode()), self.spread(name, shape)
            lines.append([name, shape, key, mean, float(np.float32(scale))])
            if name not in buffers:
                state[name] = values(key, shape, mean, scale).to(DTYPES[dtype])
        self.files[file] = {"dtype": dtype, "tensors": lines}
        return state

    @staticmethod
    def spread(name, shape):
        """Mean and scale."""
        is_vector = max(shape, default=1) == math.prod(shape)
        if is_vector and name.endswith(("weight", "gamma")) and any(part in name for part in ("norm", "proj.0.", "proj.4.", "gamma", "head.0.")):
            return 1.0, 0.1
        if name.endswith("bias") or is_vector and "token" not in name and "cls" not in name:
            return 0.0, 0.1
        per_input, scale = next((is_unit, scale) for part, is_unit, scale in SCALES if part in name)
        return 0.0, scale if per_input else scale / math.sqrt(max(1, math.prod(shape[1:])))

    def save(self, file, module, dtype=None):
        """As `torch.save` has a module's state."""
        dtype = dtype or self.dtype
        module.to(DTYPES[dtype]).load_state_dict(self.state(file, module.state_dict(), dict(module.named_buffers()), dtype))
        torch.save(module.state_dict(), self.folder / file)

    def forget(self):
        """Writes down what tensors are made of, in their place; the tokenizer is that of other goldens."""
        shutil.rmtree(self.folder / "google")
        for file in self.files:
            (self.folder / file).unlink()
        lines = json.dumps(self.files, separators=(",", ":")).replace("]],", "]],\n")
        (self.folder.parent / "tensors.json").write_text(lines.replace("],[", "],\n["))


def build(wan, release, options):
    """Writes the release, and returns a function that makes the official pipeline of it, with a LoRA of that weight."""
    from peft import get_peft_model_state_dict
    from wan.modules.animate.clip import XLMRobertaCLIP
    from wan.modules.animate.model_animate import WanAnimateModel
    from wan.modules.t5 import T5Encoder
    from wan.modules.vae2_1 import WanVAE_

    folder = release.folder
    folder.mkdir(parents=True)
    words = tokenizer(Path(tempfile.mkdtemp()))
    words.save_pretrained(folder / "google" / "umt5-xxl")
    text = dict(dim=options.text_dim, dim_attn=options.text_heads * 8, dim_ffn=24, num_heads=options.text_heads, num_buckets=32, shared_pos=False)
    text = partial(T5Encoder, **{"vocab": len(words), "num_layers": 2, **text, **options.text})
    release.save(TEXT, text(), "bf16")

    clip = dict(image_size=16 * options.clip_patch, patch_size=options.clip_patch, vision_layers=2, vision_mlp_ratio=0.125)
    clip |= dict(vocab_size=11, max_text_len=8, embed_dim=8, text_dim=8, text_heads=1, text_layers=1) | options.clip
    release.save(CLIP, XLMRobertaCLIP(**clip))
    vae = dict(dim=options.vae_dim, dim_mult=[1, 2, 2, 2], num_res_blocks=2, temperal_downsample=[False, True, True]) | options.vae
    release.save(VAE, WanVAE_(z_dim=16, **vae))

    model = WanAnimateModel(
        dim=options.heads * options.head_dim, ffn_dim=options.ffn_dim, freq_dim=options.freq_dim, text_dim=options.text_dim,
        num_heads=options.heads, num_layers=options.layers, **options.model,
    )
    state = release.state(TRANSFORMER, model.state_dict(), dict(model.named_buffers()), release.dtype)
    model.to(DTYPES[release.dtype]).load_state_dict(state)
    model.save_pretrained(folder, max_shard_size=options.shards)

    lora_of = wan.animate.get_loraconfig
    model.add_adapter(lora_of(model, rank=LORA_RANK, alpha=LORA_RANK))
    torch.save({"state_dict": release.state(LORA, get_peft_model_state_dict(model), dtype=release.dtype)}, folder / LORA)

    wan.modules.t5.umt5_xxl = lambda dtype, **_: text().to(dtype)
    wan.modules.animate.clip.clip_xlm_roberta_vit_h_14 = lambda **_: wan.modules.animate.clip._clip(
        pretrained_name="open-clip", return_transforms=True, **clip
    )
    wan.modules.vae2_1._video_vae = partial(wan.modules.vae2_1._video_vae, **vae)
    config = wan.configs.wan_animate_14B.animate_14B
    config.param_dtype = config.t5_dtype = torch.float32
    config.text_len = options.model.get("text_len", config.text_len)

    def pipeline(lora):
        wan.animate.get_loraconfig = lambda transformer, **_: lora_of(transformer, rank=LORA_RANK, alpha=LORA_RANK * (lora or 0))
        made = wan.animate.WanAnimate(config, str(folder), use_relighting_lora=lora is not None)
        made.vae.model.float()
        return made

    return pipeline


def image(seed, width, height, cells):
    """Random colours, smooth where the cells are fewer than the pixels."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.BILINEAR if cells < 16 else Image.NEAREST))


def inputs(folder, seed):
    """A folder of images for what the official preprocessing writes as a video, and the reference."""
    videos = {
        "pose": lambda i: image(seed + 10 + i, WIDTH, HEIGHT, 8),
        # Flat squares keep 512 pixels small.
        "face": lambda i: image(seed + 50 + i, 512, 512, 16),
        "bg": lambda i: image(seed + 90 + i, WIDTH, HEIGHT, 6),
        "mask": lambda i: np.repeat((image(seed + 130 + i, WIDTH, HEIGHT, 4)[:, :, :1] > 120) * np.uint8(255), 3, axis=2),
    }
    for name, frame in videos.items():
        (folder / name).mkdir(parents=True)
        for i in range(FACES if name == "face" else FRAMES):
            Image.fromarray(frame(i)).save(folder / name / f"{i:03}.png", optimize=True)
    # Of another shape than the video, so that it is fitted in.
    Image.fromarray(image(seed + 7, 90, 100, 12)).save(folder / "src_ref.png", optimize=True)


def letterboxes(wan):
    """Images of several sizes on canvases of others, as bytes [H, W, 3]."""
    tensors = {}
    for size, canvas in [((20, 10), (48, 32)), ((33, 47), (64, 48)), ((90, 100), (48, 32)), ((64, 48), (32, 24)), ((7, 9), (50, 64))]:
        name = "letterbox.{}x{}.{}x{}".format(*size, *canvas)
        source = image(sum(size), *size, 16)
        tensors[f"{name}.source"] = torch.from_numpy(source.copy())
        tensors[f"{name}.canvas"] = torch.from_numpy(wan.animate.WanAnimate.padding_resize(None, source, canvas[1], canvas[0]))
    return tensors


# Faces take minutes in the test, so that most cases have none.
CASES = {
    "animate": dict(frames=8, clip_len=5, refert_num=1, sample_solver="unipc", sampling_steps=3, guide_scale=2.0),
    "animate_face": dict(frames=5, clip_len=5, refert_num=1, sample_solver="dpm++", sampling_steps=3, guide_scale=2.0, face=True),
    "replace": dict(frames=13, clip_len=9, refert_num=5, sample_solver="dpm++", sampling_steps=3, guide_scale=1, replace_flag=True, lora=0.5),
    "replace_face": dict(frames=5, clip_len=5, refert_num=1, sample_solver="unipc", sampling_steps=3, guide_scale=1, replace_flag=True, lora=1.0, face=True),
}


def run(pipeline, source, case, seed):
    """Frames [F, H, W, 3] in [0, 1]."""
    VideoReader.frames, VideoReader.face = case["frames"], case.get("face", False)
    settings = {name: value for name, value in case.items() if name not in ("frames", "lora", "face")}
    video = pipeline(case.get("lora")).generate(str(source), shift=5.0, seed=seed, input_prompt="a person dances", **settings)
    return (video.permute(1, 2, 3, 0) * 0.5 + 0.5).contiguous()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", nargs="?", type=Path, default=GOLDENS)
    for name, value in SIZES.items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    parser.add_argument("--dtype", choices=DTYPES, default="f32", help="how weights are stored")
    parser.add_argument("--shards", default="10GB", help="the largest shard of the transformer")
    for name, kind in [("model", "WanAnimateModel"), ("text", "T5Encoder"), ("clip", "XLMRobertaCLIP"), ("vae", "WanVAE_")]:
        parser.add_argument("--" + name, type=json.loads, default={}, help=f"further arguments of {kind}, as JSON")
    parser.add_argument("--cases", default=json.dumps(CASES), help="as JSON")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    wan = import_official()
    shutil.rmtree(options.out, ignore_errors=True)
    release = Release(options.out / "model", options.seed, options.dtype)
    pipeline = build(wan, release, options)
    inputs(options.out, options.seed)
    for name, case in json.loads(options.cases).items():
        frames = run(pipeline, options.out, case, options.seed + 1)
        print(name, tuple(frames.shape), f"mean {frames.mean():.3f}, deviation {frames.std():.3f}")
        save_file({"frames": frames.float()}, options.out / f"{name}.safetensors")
    if options.out == GOLDENS:
        save_file(letterboxes(wan), GOLDENS.parent / "letterbox.safetensors")
        release.forget()


if __name__ == "__main__":
    main()

"""Makes tests/goldens/preprocess.safetensors: images prepared by Pillow, diffusers, transformers and PyTorch.

    python tests/reference/preprocess.py

Pillow 13.0.0, diffusers 0.42.1, transformers 5.23.0, torch 2.9.1, numpy 2.4.6, safetensors 0.8.0.
"""

import io
import json
import zlib
from pathlib import Path

import numpy as np
import torch
from diffusers.pipelines.wan.image_processor import WanAnimateImageProcessor
from diffusers.video_processor import VideoProcessor
from PIL import Image
from safetensors.torch import save_file
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

rng = np.random.default_rng(0)
tensors = {}


def picture(width, height):
    """Noise on a ramp, with some saturated pixels, so that clipping and rounding both matter."""
    ramp = np.linspace(0, 200, width)[None, :, None] + np.linspace(0, 55, height)[:, None, None]
    pixels = ramp + rng.normal(0, 60, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def keep(name, image):
    tensors[name] = torch.from_numpy(np.array(image))


def resizing():
    filters = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}
    sizes = [(37, 23, 32, 48), (37, 23, 9, 7), (8, 8, 8, 3), (5, 9, 11, 9), (1, 1, 3, 2), (1, 17, 1, 4), (64, 2, 3, 5), (7, 5, 7, 5)]
    # Rows removed against columns removed: below, at and above the ratio of 2 where Pillow 13 swaps its passes.
    sizes += [(23, 37, 19, 30), (23, 37, 19, 29), (23, 37, 19, 28), (20, 40, 30, 39)]
    for width, height, to_width, to_height in sizes:
        source = picture(width, height)
        case = f"resize.{width}x{height}.{to_width}x{to_height}"
        keep(f"{case}.source", source)
        for name, number in filters.items():
            keep(f"{case}.{name}", source.resize((to_width, to_height), number))
            keep(f"{case}.{name}.grey", source.convert("L").resize((to_width, to_height), number))


def preprocessing():
    video = VideoProcessor(vae_scale_factor=8)
    masks = VideoProcessor(vae_scale_factor=8, do_normalize=False, do_convert_grayscale=True)
    reference = WanAnimateImageProcessor(vae_scale_factor=8, spatial_patch_size=(2, 2), resample="bilinear", fill_color=0)
    for width, height, to_width, to_height in [(37, 23, 32, 48), (23, 37, 32, 16), (32, 48, 32, 48), (50, 33, 48, 32), (1, 1, 16, 32), (3, 40, 32, 16)]:
        source = picture(width, height)
        case = f"preprocess.{width}x{height}.{to_width}x{to_height}"
        size = {"height": to_height, "width": to_width}
        keep(f"{case}.source", source)
        tensors[f"{case}.frame"] = video.preprocess_video([source], **size)[0, :, 0].contiguous()
        tensors[f"{case}.mask"] = masks.preprocess_video([source], **size)[0, :, 0].contiguous()
        tensors[f"{case}.reference"] = reference.preprocess(source, resize_mode="fill", **size)[0].contiguous()


def clip():
    cases = {
        "default": ((37, 23), {}),
        "tall": ((23, 61), {"size": {"shortest_edge": 30}, "crop_size": {"height": 30, "width": 30}}),
        "wide": ((61, 20), {"size": {"shortest_edge": 31}, "crop_size": {"height": 30, "width": 30}}),
        "exact": ((19, 40), {"size": {"height": 30, "width": 30}, "do_center_crop": False, "resample": 2}),
        "padded": ((21, 33), {"size": {"shortest_edge": 17}, "crop_size": 30, "resample": 1, "do_normalize": False}),
        "raw": ((45, 33), {"size": 30, "crop_size": 30, "resample": 0, "do_rescale": False, "do_normalize": False}),
        "plain": ((30, 41), {"do_resize": False, "crop_size": 30, "do_rescale": False, "image_mean": [1.0, 2.0, 3.0], "image_std": [5.0, 6.0, 7.0]}),
    }
    configs = {}
    for name, (size, config) in cases.items():
        source = picture(*size)
        processor = CLIPImageProcessorPil(**config)
        keep(f"clip.{name}.source", source)
        values = processor(source, return_tensors="pt")["pixel_values"][0].float()
        # The default one is large, so every 7th row is kept.
        tensors[f"clip.{name}.values"] = values[:, ::7].contiguous() if name == "default" else values.contiguous()
        configs[name] = json.loads(processor.to_json_string())
        tensors[f"clip.{name}.config"] = torch.tensor(list(json.dumps(configs[name]).encode()), dtype=torch.uint8)


def files():
    """Encoded images of every kind, with what Pillow makes of them as RGB."""
    rgb = picture(9, 7)
    alpha = Image.merge("RGBA", [*rgb.split(), rgb.split()[0]])
    palette = rgb.quantize(16)
    palette.info["transparency"] = 3
    wide = np.random.default_rng(1).integers(0, 65536, (7, 9, 3))
    images = {
        "rgb.png": rgb,
        "alpha.png": alpha,
        "grey.png": rgb.convert("L"),
        "grey_alpha.png": alpha.convert("LA"),
        "palette.png": palette,
        "bits.png": rgb.convert("1"),
        "rgb.webp": rgb,
        "rgb.gif": palette,
    }
    for name, image in images.items():
        options = {"lossless": True} if name.endswith("webp") else {}
        data = io.BytesIO()
        image.save(data, name.split(".")[1], **options)
        keep_file(name, data.getvalue())
    keep_file("deep.png", png16(wide))


def keep_file(name, data):
    tensors[f"file.{name}.bytes"] = torch.tensor(list(data), dtype=torch.uint8)
    keep(f"file.{name}.rgb", Image.open(io.BytesIO(data)).convert("RGB"))


def png16(pixels):
    """A PNG of 16-bit RGB, which Pillow reads but does not write."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(kind, body):
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


if __name__ == "__main__":
    for make in [resizing, preprocessing, clip, files]:
        make()
    path = Path(__file__).parent.parent / "goldens" / "preprocess.safetensors"
    save_file(tensors, path)
    print(path, path.stat().st_size)

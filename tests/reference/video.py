"""Makes tests/goldens/video.safetensors: small MP4 and MOV files of x264, with the frames that are in them.

    python tests/reference/video.py

PyAV 18.1.0 (with its own FFmpeg and x264), numpy 2.4.6, safetensors 0.8.0.
"""

import io
from pathlib import Path

import av
import numpy as np
import torch
from safetensors.torch import save_file

MATRICES = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


def planes(index, width, height):
    """Y, Cb and Cr of frame `index`: waves that move, so that no two frames are alike."""
    y, x = np.mgrid[0:height, 0:width]
    wave = lambda speed, phase, amplitude: 128 + amplitude * np.sin(speed * (x * 0.3 + y * 0.2 + index * 0.9) + phase)
    half = (slice(None, None, 2),) * 2
    return [p.astype(np.uint8) for p in (wave(1.0, 0, 90), wave(0.6, 1, 60)[half], wave(0.4, 2, 60)[half])]


def to_rgb(frame, matrix, full_range):
    """Chroma repeated, not interpolated; f64."""
    red, blue = MATRICES[matrix]
    luma, cb, cr = (plane.astype(np.float64) for plane in frame)
    cb, cr = (plane.repeat(2, 0).repeat(2, 1)[: luma.shape[0], : luma.shape[1]] - 128 for plane in (cb, cr))
    black, luma_span, chroma_span = (0, 255, 255) if full_range else (16, 219, 224)
    luma, cb, cr = (luma - black) / luma_span, cb / chroma_span, cr / chroma_span
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return (np.stack([r, g, b], -1) * 255).round().clip(0, 255).astype(np.uint8)


def decoded(data):
    """Y, Cb and Cr of every frame, in order of presentation."""
    for frame in av.open(io.BytesIO(data)).decode(video=0):
        assert frame.format.name in ("yuv420p", "yuvj420p")
        plane = lambda p: np.frombuffer(p, np.uint8).reshape(p.height, p.line_size)[:, : p.width]
        yield [plane(p) for p in frame.planes]


def encoded(form, frames, rate, options, tags):
    data = io.BytesIO()
    container = av.open(data, "w", format=form)
    stream = container.add_stream("libx264", rate=rate, options={"crf": "30", **options})
    stream.height, stream.width = frames[0][0].shape
    stream.pix_fmt = "yuv420p"
    for name, value in tags.items():
        setattr(stream.codec_context, name, value)
    for frame in frames:
        picture = av.VideoFrame.from_numpy_buffer(np.concatenate([p.ravel() for p in frame]).reshape(-1, stream.width), "yuv420p")
        container.mux(stream.encode(picture))
    container.mux(stream.encode())
    container.close()
    return data.getvalue()


def main():
    groups = {"bf": "3", "g": "6", "b_strategy": "0"}
    bt709 = {"colorspace": 1, "color_primaries": 1, "color_trc": 1}
    cases = {
        # B-frames in closed groups, and sides that are no multiples of 16 and so are cropped.
        "bframes.mp4": ("mp4", (46, 30), 25, groups, {}, "bt601", False),
        # Groups whose last frames refer to the next group.
        "open.mov": ("mov", (48, 32), 24, {**groups, "x264-params": "open-gop=1"}, bt709, "bt709", False),
        "full.mov": ("mov", (32, 48), 30, {"bf": "0"}, {**bt709, "color_range": 2}, "bt709", True),
        "baseline.mp4": ("mp4", (34, 34), 12, {"profile": "baseline"}, {}, "bt601", False),
    }
    tensors = {}
    for name, (form, (width, height), rate, options, tags, matrix, full_range) in cases.items():
        data = encoded(form, [planes(index, width, height) for index in range(14)], rate, options, tags)
        frames = np.stack([to_rgb(frame, matrix, full_range) for frame in decoded(data)])
        assert len(frames) == 14
        tensors[f"{name}.bytes"] = torch.tensor(list(data), dtype=torch.uint8)
        tensors[f"{name}.frames"] = torch.from_numpy(frames)
        tensors[f"{name}.rate"] = torch.tensor([rate], dtype=torch.float32)
    path = Path(__file__).parent.parent / "goldens" / "video.safetensors"
    save_file(tensors, path)
    print(path, path.stat().st_size)


main()

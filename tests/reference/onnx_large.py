"""Writes networks of the shapes of ViTPose-H and YOLOv10m with random weights, 2.6 GB: onnx_large.py FOLDER.

FOLDER/large/NAME.onnx, with the weights of vitpose_h in a file beside it. What they compute means nothing; they are there for their size.
Needs onnx 1.23.2 and numpy.
"""

import sys
from pathlib import Path

import onnx

import onnx_random
from onnx_random import Builder, upsample


def bottleneck(b, x, channels):
    return b.op("Add", x, b.conv_silu(b.conv_silu(x, channels, channels, 3), channels, channels, 3))


def inverted(b, x, channels):
    """With depthwise convolutions around two of a pixel."""
    inner = b.conv_silu(b.conv_silu(x, channels, channels, 3, group=channels), channels, 2 * channels, 1)
    inner = b.conv_silu(b.conv_silu(inner, 2 * channels, 2 * channels, 3, group=2 * channels), 2 * channels, channels, 1)
    return b.op("Add", x, b.conv_silu(inner, channels, channels, 3, group=channels))


def stage(b, x, inputs, channels, blocks, block=bottleneck):
    half = channels // 2
    parts = list(b.op("Split", b.conv_silu(x, inputs, channels, 1), b.ints(half, half), axis=1, outputs=2))
    for _ in range(blocks):
        parts.append(block(b, parts[-1], half))
    return b.conv_silu(b.op("Concat", *parts, axis=1), half * len(parts), channels, 1)


def down(b, x, inputs, channels):
    return b.conv(b.conv_silu(x, inputs, channels, 1), channels, channels, 3, 2, group=channels)


def pyramid(b, x, channels):
    pools = [b.conv_silu(x, channels, channels // 2, 1)]
    for _ in range(3):
        pools.append(b.op("MaxPool", pools[-1], kernel_shape=[5, 5], strides=[1, 1], pads=[2] * 4))
    return b.conv_silu(b.op("Concat", *pools, axis=1), channels * 2, channels, 1)


def head(b, x, channels, classes=80):
    box = b.conv(b.conv_silu(b.conv_silu(x, channels, 64, 3), 64, 64, 3), 64, 64, 1)
    inner = x
    for inputs in (channels, 192):
        inner = b.conv_silu(b.conv_silu(inner, inputs, inputs, 3, group=inputs), inputs, 192, 1)
    return b.op("Reshape", b.op("Concat", box, b.conv(inner, 192, classes, 1), axis=1), b.ints(1, 64 + classes, -1))


def yolov10m():
    b = Builder(13, [1, 3, 640, 640])
    x = stage(b, b.conv_silu(b.conv_silu("input", 3, 48, 3, 2), 48, 96, 3, 2), 96, 96, 2)
    near = stage(b, b.conv_silu(x, 96, 192, 3, 2), 192, 192, 4)
    middle = stage(b, down(b, near, 192, 384), 384, 384, 4)
    far = pyramid(b, stage(b, down(b, middle, 384, 576), 576, 576, 2, inverted), 576)
    middle = stage(b, b.op("Concat", upsample(b, far), middle, axis=1), 960, 384, 2)
    near = stage(b, b.op("Concat", upsample(b, middle), near, axis=1), 576, 192, 2)
    middle = stage(b, b.op("Concat", b.conv_silu(near, 192, 192, 3, 2), middle, axis=1), 576, 384, 2, inverted)
    far = stage(b, b.op("Concat", down(b, middle, 384, 384), far, axis=1), 960, 576, 2, inverted)
    levels = [head(b, level, channels) for level, channels in ((near, 192), (middle, 384), (far, 576))]
    return b.model([b.op("Concat", *levels, axis=2)])


def main():
    out = Path(sys.argv[1]) / "large"
    out.mkdir(parents=True, exist_ok=True)
    onnx.save(yolov10m(), out / "yolov10m.onnx")
    model = onnx_random.vitpose(11, width=1280, heads=16, layers=32, deconv=256)
    weights = "vitpose_h.data"
    (out / weights).unlink(missing_ok=True)
    onnx.save(model, out / "vitpose_h.onnx", save_as_external_data=True, location=weights)


main()

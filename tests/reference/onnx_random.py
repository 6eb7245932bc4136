"""Small networks with random weights, node by node as PyTorch exports them: ViTPose at two versions of the operators, YOLOX, YOLOv10's head, RTMPose."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """Adds nodes and constants to a graph; every method gives the name of a value."""

    def __init__(self, opset, shape, seed=0):
        self.opset, self.rng = opset, np.random.default_rng(seed)
        self.nodes, self.constants, self.shape = [], [], shape

    def weight(self, *shape, scale=None):
        fan = int(np.prod(shape[1:])) or 1
        values = self.rng.standard_normal(shape) * (fan**-0.5 if scale is None else scale)
        return self.constant(values.astype(np.float32))

    def constant(self, values, dtype=None):
        name = f"onnx::c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def ints(self, *values):
        return self.constant(values, np.int64)

    def op(self, op, *inputs, outputs=1, **attributes):
        names = [f"/v{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, f"/{op}_{len(self.nodes)}", **attributes))
        return names[0] if outputs == 1 else names

    def model(self, outputs):
        values = [helper.make_empty_tensor_value_info(name) for name in outputs]
        image = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *self.shape[1:]])
        graph = helper.make_graph(self.nodes, "network", [image], values, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def conv(self, x, inputs, outputs, kernel, stride=1, group=1, bias=True):
        pad = [kernel // 2] * 4
        weights = [self.weight(outputs, inputs // group, kernel, kernel)] + [self.weight(outputs, scale=0.1)] * bias
        return self.op("Conv", x, *weights, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pad, group=group, dilations=[1, 1])

    def silu(self, x):
        return self.op("Mul", x, self.op("Sigmoid", x))

    def conv_silu(self, x, *args, **kwargs):
        return self.silu(self.conv(x, *args, **kwargs))

    def axes_op(self, op, x, axes, **attributes):
        if self.opset >= 13:
            return self.op(op, x, self.ints(*axes), **attributes)
        return self.op(op, x, axes=axes, **attributes)

    def scalar(self, value):
        return self.constant(value, np.float32)

    def layer_norm(self, x, width):
        scale, bias = self.weight(width, scale=1.0), self.weight(width, scale=0.1)
        if self.opset >= 17:
            return self.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-6)
        centred = self.op("Sub", x, self.op("ReduceMean", x, axes=[-1]))
        variance = self.op("ReduceMean", self.op("Pow", centred, self.scalar(2.0)), axes=[-1])
        normal = self.op("Div", centred, self.op("Sqrt", self.op("Add", variance, self.scalar(1e-6))))
        return self.op("Add", self.op("Mul", normal, scale), bias)

    def linear(self, x, inputs, outputs):
        return self.op("Add", self.weight(outputs, scale=0.1), self.op("MatMul", x, self.weight(inputs, outputs, scale=inputs**-0.5)))

    def gelu(self, x):
        erf = self.op("Erf", self.op("Div", x, self.scalar(2**0.5)))
        return self.op("Mul", self.op("Mul", x, self.op("Add", erf, self.scalar(1.0))), self.scalar(0.5))


def attention(b, x, tokens, width, heads):
    """With one projection for queries, keys and values, as mmpose's module has it."""
    each = width // heads
    qkv = b.op("Reshape", b.linear(x, width, 3 * width), b.ints(-1, tokens, 3, heads, each))
    qkv = b.op("Transpose", qkv, perm=[2, 0, 3, 1, 4])
    q, k, v = (b.op("Gather", qkv, b.constant(which, np.int64), axis=0) for which in range(3))
    q = b.op("Mul", q, b.scalar(each**-0.5))
    weights = b.op("Softmax", b.op("MatMul", q, b.op("Transpose", k, perm=[0, 1, 3, 2])), axis=-1 if b.opset >= 13 else 3)
    mixed = b.op("Transpose", b.op("MatMul", weights, v), perm=[0, 2, 1, 3])
    return b.linear(b.op("Reshape", mixed, b.ints(-1, tokens, width)), width, width)


def vitpose(opset, width=96, heads=4, layers=3, points=133, deconv=64):
    b = Builder(opset, [1, 3, 256, 192])
    weights = [b.weight(width, 3, 16, 16), b.weight(width, scale=0.1)]
    patches = b.op("Conv", "input", *weights, kernel_shape=[16, 16], strides=[16, 16], pads=[2, 2, 2, 2])
    shape = b.op("Shape", patches)
    parts = [b.axes_op("Unsqueeze", b.op("Gather", shape, b.constant(axis, np.int64)), [0]) for axis in range(2)]
    flat = b.op("Reshape", patches, b.op("Concat", *parts, b.ints(-1), axis=0))
    x = b.op("Add", b.op("Transpose", flat, perm=[0, 2, 1]), b.weight(1, 192, width, scale=0.5))
    for _ in range(layers):
        x = b.op("Add", x, attention(b, b.layer_norm(x, width), 192, width, heads))
        hidden = b.gelu(b.linear(b.layer_norm(x, width), width, 4 * width))
        x = b.op("Add", x, b.linear(hidden, 4 * width, width))
    x = b.op("Reshape", b.op("Transpose", b.layer_norm(x, width), perm=[0, 2, 1]), b.ints(-1, width, 16, 12))
    for inputs in (width, deconv):
        weight = b.weight(inputs, deconv, 4, 4, scale=(4 * inputs) ** -0.5)
        x = b.op("ConvTranspose", x, weight, kernel_shape=[4, 4], strides=[2, 2], pads=[1, 1, 1, 1])
        scale, bias, mean = (b.weight(deconv, scale=size) for size in (1.0, 0.1, 0.1))
        x = b.op("Relu", b.op("BatchNormalization", x, scale, bias, mean, b.constant(b.rng.uniform(0.5, 2, deconv), np.float32)))
    return b.model([b.conv(x, deconv, points, 1)])


def pair(b, x, opset_axes):
    """Slices as YOLOX's first layer makes them: every second row and column from one on."""
    return b.op("Slice", x, b.ints(opset_axes[1]), b.ints(2**63 - 1), b.ints(opset_axes[0]), b.ints(2))


def csp(b, x, channels, blocks, shortcut=True):
    half = channels // 2
    left, right = b.conv_silu(x, channels, half, 1), b.conv_silu(x, channels, half, 1)
    for _ in range(blocks):
        inner = b.conv_silu(b.conv_silu(left, half, half, 1), half, half, 3)
        left = b.op("Add", inner, left) if shortcut else inner
    return b.conv_silu(b.op("Concat", left, right, axis=1), channels, channels, 1)


def upsample(b, x):
    scales = b.constant([1, 1, 2, 2], np.float32)
    return b.op("Resize", x, b.constant([], np.float32), scales, coordinate_transformation_mode="asymmetric", mode="nearest", nearest_mode="floor")


def yolox(width=16, classes=80, size=160):
    b = Builder(11, [1, 3, size, size])
    corners = [pair(b, pair(b, "input", (2, row)), (3, column)) for column in (0, 1) for row in (0, 1)]
    x = b.conv_silu(b.op("Concat", *corners, axis=1), 12, width, 3)
    features = []
    for stage in range(3):
        x = csp(b, b.conv_silu(x, width << stage, width << stage + 1, 3, 2), width << stage + 1, 1 + stage % 2)
        features.append(x)
    reduced = b.conv_silu(x, width * 8, width * 4, 1)
    pools = [b.op("MaxPool", reduced, kernel_shape=[k] * 2, strides=[1, 1], pads=[k // 2] * 4) for k in (5, 9, 13)]
    top = b.conv_silu(b.op("Concat", reduced, *pools, axis=1), width * 16, width * 8, 1)
    lateral = b.conv_silu(top, width * 8, width * 4, 1)
    middle = b.conv_silu(b.op("Concat", upsample(b, lateral), features[1], axis=1), width * 8, width * 4, 3)
    outputs = []
    for x, channels in ((middle, width * 4), (top, width * 8)):
        branch = b.conv_silu(b.conv_silu(x, channels, width * 4, 1), width * 4, width * 4, 3)
        scores = b.op("Sigmoid", b.conv(branch, width * 4, classes, 1))
        box, seen = b.conv(branch, width * 4, 4, 1), b.op("Sigmoid", b.conv(branch, width * 4, 1, 1))
        level = b.op("Concat", box, seen, scores, axis=1)
        outputs.append(b.op("Reshape", level, b.ints(1, 5 + classes, -1)))
    joined = b.op("Concat", *outputs, axis=2)
    return b.model([b.op("Transpose", joined, perm=[0, 2, 1])])


def yolov10(width=16, classes=8, size=128, most=30):
    """With depthwise convolutions, attention in the image, distribution over distances and the choice of the best boxes."""
    b = Builder(13, [1, 3, size, size])
    x = b.conv_silu(b.conv_silu("input", 3, width, 3, 2), width, width * 2, 3, 2)
    x = b.silu(b.conv(b.conv_silu(x, width * 2, width * 4, 1), width * 4, width * 4, 3, 2, group=width * 4))
    parts = b.op("Split", x, b.ints(width * 2, width * 2), axis=1, outputs=2)
    x = b.op("Concat", parts[0], b.conv_silu(parts[1], width * 2, width * 2, 7, group=width * 2), axis=1)
    side = size // 8
    flat = b.op("Reshape", b.conv(x, width * 4, width * 4, 1), b.ints(1, 2, width * 2, side * side))
    q, k, v = b.op("Split", flat, b.ints(width // 2, width // 2, width), axis=2, outputs=3)
    weights = b.op("MatMul", b.op("Transpose", q, perm=[0, 1, 3, 2]), k)
    weights = b.op("Softmax", b.op("Mul", weights, b.scalar((width / 2) ** -0.5)), axis=-1)
    mixed = b.op("MatMul", v, b.op("Transpose", weights, perm=[0, 1, 3, 2]))
    x = b.conv(b.op("Reshape", mixed, b.ints(1, width * 2, side, side)), width * 2, width * 4, 1)
    bins, scores = b.conv(x, width * 4, 64, 1), b.conv(x, width * 4, classes, 1)
    bins = b.op("Reshape", bins, b.ints(1, 4, 16, side * side))
    bins = b.op("Softmax", b.op("Transpose", bins, perm=[0, 2, 1, 3]), axis=1)
    distances = b.op("Conv", bins, b.constant(np.arange(16).reshape(1, 16, 1, 1), np.float32), kernel_shape=[1, 1])
    distances = b.op("Reshape", distances, b.ints(1, 4, side * side))
    scores = b.op("Sigmoid", b.op("Reshape", scores, b.ints(1, classes, side * side)))
    boxes, scores = b.op("Transpose", distances, perm=[0, 2, 1]), b.op("Transpose", scores, perm=[0, 2, 1])
    best = b.op("ReduceMax", scores, axes=[-1], keepdims=0)
    _, order = b.op("TopK", best, b.ints(most), axis=-1, outputs=2)
    order = b.axes_op("Unsqueeze", order, [-1])
    boxes = b.op("GatherElements", boxes, b.op("Tile", order, b.ints(1, 1, 4)), axis=1)
    scores = b.op("GatherElements", scores, b.op("Tile", order, b.ints(1, 1, classes)), axis=1)
    values, order = b.op("TopK", b.op("Flatten", scores, axis=1), b.ints(most), axis=-1, outputs=2)
    labels = b.op("Mod", order, b.constant(classes, np.int64))
    rows = b.axes_op("Unsqueeze", b.op("Div", order, b.constant(classes, np.int64)), [-1])
    boxes = b.op("GatherElements", boxes, b.op("Expand", rows, b.ints(1, most, 4)), axis=1)
    values, labels = b.axes_op("Unsqueeze", values, [-1]), b.op("Cast", b.axes_op("Unsqueeze", labels, [-1]), to=TensorProto.FLOAT)
    return b.model([b.op("Concat", boxes, values, labels, axis=-1)])


def scale_norm(b, x, width):
    norm = b.op("Mul", b.op("ReduceL2", x, axes=[-1]), b.scalar(width**-0.5))
    return b.op("Mul", b.op("Div", x, b.op("Clip", norm, b.scalar(1e-5), "")), b.weight(1, scale=1.0))


def channel_attention(b, x, channels):
    pooled = b.op("GlobalAveragePool", x)
    return b.op("Mul", x, b.op("HardSigmoid", b.conv(pooled, channels, channels, 1), alpha=1 / 6, beta=0.5))


def rtmpose(width=16, points=17, wide=32):
    b = Builder(11, [1, 3, 96, 64])
    x = b.conv_silu("input", 3, width, 3, 2)
    for stage in range(2):
        channels = width << stage + 1
        x = b.conv_silu(x, channels // 2, channels, 3, 2)
        inner = b.conv_silu(b.conv_silu(x, channels, channels, 3), channels, channels, 5, group=channels)
        x = channel_attention(b, b.op("Add", x, b.conv_silu(inner, channels, channels, 1)), channels)
    shuffled = b.op("DepthToSpace", b.conv(x, width * 4, width * 4, 1), blocksize=2, mode="CRD")
    x = b.op("Concat", b.op("Relu", shuffled), upsample(b, b.conv_silu(x, width * 4, width, 1)), axis=1)
    tokens = b.op("Reshape", b.conv(x, width * 2, points, 7), b.ints(-1, points, 24 * 16))
    x = b.op("MatMul", scale_norm(b, tokens, 24 * 16), b.weight(24 * 16, wide, scale=0.05))
    uv = b.silu(b.op("MatMul", scale_norm(b, x, wide), b.weight(wide, 2 * wide + 24, scale=0.2)))
    u, v, base = b.op("Split", uv, axis=2, split=[wide, wide, 24], outputs=3)
    base = b.op("Add", b.op("Mul", b.axes_op("Unsqueeze", base, [2]), b.weight(2, 24, scale=1.0)), b.weight(2, 24, scale=0.1))
    q, k = (b.axes_op("Squeeze", part, [2]) for part in b.op("Split", base, axis=2, split=[1, 1], outputs=2))
    kernel = b.op("Div", b.op("MatMul", q, b.op("Transpose", k, perm=[0, 2, 1])), b.scalar(24**0.5))
    kernel = b.op("Relu", kernel)
    kernel = b.op("Mul", kernel, kernel)
    x = b.op("Add", b.op("Mul", x, b.weight(wide, scale=1.0)), b.op("MatMul", b.op("Mul", u, b.op("MatMul", kernel, v)), b.weight(wide, wide)))
    return b.model([b.op("MatMul", x, b.weight(wide, 128)), b.op("MatMul", x, b.weight(wide, 192))])


def models():
    return [("vitpose_11", vitpose(11)), ("vitpose_17", vitpose(17)), ("yolox", yolox()), ("yolov10", yolov10()), ("rtmpose", rtmpose())]

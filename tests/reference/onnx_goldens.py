"""Makes tests/goldens/onnx: small networks with random weights and many operators beside each other, and what onnxruntime makes of them. Needs onnx 1.23.2, onnxruntime 1.32.0, numpy.

NAME.onnx with NAME.pb: its outputs, one after the other with their lengths before, of the input that `noise` makes.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from onnx_operators import operators
from onnx_random import rtmpose, vitpose, yolov10, yolox

GOLDENS = Path(__file__).parent.parent / "goldens" / "onnx"
SMALL = {
    "vitpose_11": lambda: vitpose(11, width=16, heads=2, layers=1, points=2, deconv=8),
    "vitpose_17": lambda: vitpose(17, width=16, heads=2, layers=1, points=2, deconv=8),
    "yolox": lambda: yolox(width=4, classes=2, size=64),
    "yolov10": lambda: yolov10(width=4, classes=3, size=64, most=10),
    "rtmpose": lambda: rtmpose(width=8, points=3, wide=8),
    "operators_12": lambda: operators(12),
    "operators_13": lambda: operators(13),
}


def noise(shape):
    """From -0.5 to 0.5, as tests/onnx/noise.rs makes it."""
    numbers = np.arange(int(np.prod(shape)), dtype=np.uint64) * 2654435761 % 2**32
    return (numbers.astype(np.float64) / 2**32 - 0.5).astype(np.float32).reshape(shape)


def main():
    GOLDENS.mkdir(parents=True, exist_ok=True)
    for name, make in SMALL.items():
        path = GOLDENS / f"{name}.onnx"
        onnx.save(make(), path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        port = session.get_inputs()[0]
        outputs = session.run(None, {port.name: noise([1, *port.shape[1:]])})
        messages = [numpy_helper.from_array(value).SerializeToString() for value in outputs]
        (GOLDENS / f"{name}.pb").write_bytes(b"".join(len(message).to_bytes(4, "little") + message for message in messages))


main()

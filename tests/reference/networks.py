"""Two small pose networks of random weights, and the points that the reference finds with them, for tests/generations/networks.rs.

    WAN_OFFICIAL=DIR RTMLIB=DIR python tests/reference/networks.py [OUT]

`WAN_OFFICIAL` is a checkout of https://github.com/Wan-Video/Wan2.2, whose `wan/modules/animate/preprocess` cuts out persons for heatmaps and decodes
them; `RTMLIB` one of https://github.com/Tau-J/rtmlib, which does so for SimCC. Both are imported as they are. Needs numpy 2.4.6, onnx 1.23.2, onnxruntime
1.32.0, torch 2.9.1 and opencv-python-headless 5.0.0. The picture is made by a formula.
"""

import importlib.util
import json
import os
import sys
import types
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "goldens" / "networks")
POINTS = 133
BOXES = [(100, 40, 180, 220), (0, 0, 320, 240), (200, 100, 300, 150), (-30, 20, 60, 260), (150.5, 60.25, 171.75, 118.5),
         # With room around it, of as many pixels as the input of SimCC: nothing is rounded.
         (60, -33.6, 260, 273.6)]


def picture():
    y, x = np.mgrid[0:240, 0:320].astype(np.float64)
    waves = [128 + 100 * np.sin(x / a + c) * np.cos(y / b) for a, b, c in ((17, 23, 0), (31, 13, 1), (11, 41, 2))]
    return np.stack(waves, -1).astype(np.uint8)


def load(path, name, **stand_ins):
    for module, members in stand_ins.items():
        sys.modules.setdefault(module, types.SimpleNamespace(**members))
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def conv(name, source, output, kernel, rng, nodes, weights):
    weight = rng.normal(size=(POINTS, 3, kernel, kernel)).astype(np.float32) / (kernel * kernel)
    weights.append(numpy_helper.from_array(weight, name))
    nodes.append(helper.make_node("Conv", [source, name], [output], kernel_shape=[kernel] * 2, strides=[kernel] * 2))


def save(name, shape, outputs, nodes, weights):
    value = lambda name, shape: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, name, [value("input", shape)], [value(key, out) for key, out in outputs.items()], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    OUT.mkdir(parents=True, exist_ok=True)
    onnx.save(model, OUT / f"{name}.onnx")
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def heatmaps(rng):
    nodes, weights = [], []
    conv("weight", "input", "heatmaps", 4, rng, nodes, weights)
    return save("heatmaps", [1, 3, 256, 192], {"heatmaps": [1, POINTS, 64, 48]}, nodes, weights)


def simcc(rng):
    nodes, weights = [], []
    for part in "abcd":
        conv(part, "input", f"map_{part}", 1, rng, nodes, weights)
        # Columns for x, rows for y.
        nodes.append(helper.make_node("ReduceMax", [f"map_{part}"], [f"row_{part}"], axes=[2 if part in "ab" else 3], keepdims=0))
    nodes.append(helper.make_node("Concat", ["row_a", "row_b"], ["simcc_x"], axis=2))
    nodes.append(helper.make_node("Concat", ["row_c", "row_d"], ["simcc_y"], axis=2))
    return save("simcc", [1, 3, 384, 288], {"simcc_x": [1, POINTS, 576], "simcc_y": [1, POINTS, 768]}, nodes, weights)


def by_heatmaps(session, image):
    folder = Path(os.environ["WAN_OFFICIAL"]) / "wan/modules/animate/preprocess"
    sys.path.insert(0, str(folder))
    sys.modules.setdefault("PIL", types.SimpleNamespace(Image=None))
    pose = load(folder / "pose2d.py", "pose2d")
    found = []
    for box in BOXES:
        # The official code feeds a network trained on RGB with BGR.
        samples, centre, scale = pose.ViTPose.preprocess(image[..., ::-1], np.array([*box, 1.0]))
        maps = session.run(None, {"input": samples[None]})[0]
        points, scores = pose.keypoints_from_heatmaps(heatmaps=maps, center=centre[None], scale=scale[None] * 200, unbiased=True, use_udp=False)
        found.append(np.concatenate([points, scores], 2)[0].tolist())
    return found


def by_simcc(session, image):
    tools = Path(os.environ["RTMLIB"]) / "rtmlib/tools/pose_estimation"
    before, after = load(tools / "pre_processings.py", "before"), load(tools / "post_processings.py", "after")
    mean, deviation = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    found = []
    for box in BOXES:
        centre, scale = before.bbox_xyxy2cs(np.array(box, dtype=np.float64), padding=1.25)
        crop, scale = before.top_down_affine((288, 384), scale, centre, image)
        samples = ((crop - mean) / deviation).astype(np.float32).transpose(2, 0, 1)[None]
        x, y = session.run(None, {"input": samples})
        places, _ = after.get_simcc_maximum(x, y)
        points = places[0] / 2 / np.array([288, 384]) * scale + centre - scale / 2
        scores = np.minimum(x.max(2), y.max(2))[0]
        found.append(np.concatenate([points, scores[:, None]], 1).tolist())
    return found


def main():
    rng, image = np.random.default_rng(0), picture()
    sessions = heatmaps(rng), simcc(rng)
    found = {"boxes": BOXES, "heatmaps": by_heatmaps(sessions[0], image), "simcc": by_simcc(sessions[1], image)}
    rounded = {key: np.round(np.array(value), 4).tolist() for key, value in found.items()}
    (OUT / "points.json").write_text(json.dumps(rounded))
    print({key: np.array(value).shape for key, value in rounded.items()})


main()

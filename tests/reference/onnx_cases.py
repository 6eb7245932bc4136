"""Writes the test cases of the onnx wheel as folders: onnx_cases.py FOLDER. Needs onnx 1.23.2 and numpy.

FOLDER/node/NAME/{model.onnx, test_data_set_0/{input,output}_N.pb} for the cases of single operators, which the wheel makes when asked, and
FOLDER/{pytorch-converted, pytorch-operator, simple} with the small models, which it has as files.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases

KINDS = ["pytorch-converted", "pytorch-operator", "simple"]


def message(value, info):
    """What a case has as a value, or None where it is no tensor."""
    if isinstance(value, TensorProto):
        return value
    is_tensor = isinstance(value, np.ndarray | np.generic)
    return numpy_helper.from_array(np.asarray(value), info.name) if is_tensor else None


def write(case, folder):
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    graph = case.model.graph
    data = folder / "test_data_set_0"
    data.mkdir()
    for name, values, infos in (("input", case.data_sets[0][0], graph.input), ("output", case.data_sets[0][1], graph.output)):
        for number, (value, info) in enumerate(zip(values, infos)):
            tensor = message(value, info)
            if tensor is not None:
                (data / f"{name}_{number}.pb").write_bytes(tensor.SerializeToString())


def main():
    out = Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    for case in collect_testcases(None):
        write(case, out / "node" / case.name)
    files = Path(onnx.__file__).parent / "backend" / "test" / "data"
    for kind in KINDS:
        shutil.copytree(files / kind, out / kind)


main()

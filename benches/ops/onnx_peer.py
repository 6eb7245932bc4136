"""onnxruntime on the processor of the same machine, for `make bench`: a line of {"name", "operations", "seconds"} for an ONNX file: onnx_peer.py FILE.

Threads wait without spinning, so that its processor's time is what it works.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

processor = "BENCH_PROCESSOR_TIME" in os.environ


def now():
    return time.process_time() / os.cpu_count() if processor else time.perf_counter()


def best(work):
    """The least of three measurements, each of half a second at least, as the bench itself measures."""
    work()
    begun = now()
    work()
    repeats = int(0.5 / max(now() - begun, 1e-4)) + 1
    seconds = []
    for _ in range(3):
        begun = now()
        for _ in range(repeats):
            work()
        seconds.append((now() - begun) / repeats)
    return min(seconds)


options = onnxruntime.SessionOptions()
options.intra_op_num_threads = os.cpu_count()
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
shapes = {port.name: [size if isinstance(size, int) else 1 for size in port.shape] for port in session.get_inputs()}
feeds = {name: np.resize(np.arange(1000, dtype=np.float32) * 0.002 - 1, shape) for name, shape in shapes.items()}
print(json.dumps({"name": Path(sys.argv[1]).stem, "operations": 0, "seconds": best(lambda: session.run(None, feeds))}))

"""Times exported detectors in other runtimes: answers JSON lines {"runtime", "model", "batch", "runs"} with the seconds.

Runtimes: onnxruntime, openvino-f32, openvino-bf16. Each model is opened once; its first run does not count.
"""

import json
import sys
import time

import numpy as np

threads = int(sys.argv[1])
size = int(sys.argv[2])
opened = {}


def open_onnxruntime(model):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"image": images})


def open_openvino(model, precision):
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": str(threads), "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    return lambda images: compiled({"image": images})


def opener(runtime):
    if runtime == "onnxruntime":
        return open_onnxruntime
    precision = runtime.split("-")[1]
    return lambda model: open_openvino(model, precision)


print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    try:
        key = (request["runtime"], request["model"])
        if key not in opened:
            opened[key] = opener(request["runtime"])(request["model"])
        images = np.random.default_rng(0).integers(0, 256, (request["batch"], size, size, 3), dtype=np.uint8)
        opened[key](images)
        began = time.perf_counter()
        for _ in range(request["runs"]):
            opened[key](images)
        print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)
    except Exception as error:
        print(json.dumps({"error": str(error)}), flush=True)

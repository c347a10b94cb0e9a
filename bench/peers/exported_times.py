"""Times exported detectors in other runtimes: answers JSON lines {"runtime", "model", "batch", "size", "runs"} with the seconds.

Runtimes: onnxruntime, openvino-f32, openvino-bf16, openvino-int8 (quantized by NNCF on random pixels: time only). Each model is opened once; its first run does not count.
"""

import contextlib
import json
import sys
import time

import numpy as np

threads = int(sys.argv[1])
opened = {}


def open_onnxruntime(model):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"image": images})


def open_openvino(model, precision):
    import openvino

    network = model
    if precision == "int8":
        network, precision = quantized(model), "f32"
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": str(threads), "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(network, "CPU", settings)
    return lambda images: compiled({"image": images})


def quantized(model):
    # Its progress bars go to standard output, which carries answers here.
    with contextlib.redirect_stdout(sys.stderr):
        import nncf
        import openvino

        network = openvino.Core().read_model(model)
        height, width, channels = [side.get_length() for side in list(network.inputs[0].partial_shape)[1:]]
        pixels = np.random.default_rng(1).integers(0, 256, (8, 1, height, width, channels), dtype=np.uint8)
        return nncf.quantize(network, nncf.Dataset(list(pixels)), subset_size=8)


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
        images = np.random.default_rng(0).integers(0, 256, (request["batch"], request["size"], request["size"], 3), dtype=np.uint8)
        opened[key](images)
        began = time.perf_counter()
        for _ in range(request["runs"]):
            opened[key](images)
        print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)
    except Exception as error:
        print(json.dumps({"error": str(error)}), flush=True)

"""Runs an exported detector in another runtime: python exported.py RUNTIME MODEL IMAGES OUT

IMAGES is uint8 [n, height, width, 3] as .npy. OUT gets the scores, then all maps, as float32.
"""

import sys

import numpy as np

runtime, model, path, out = sys.argv[1:]
images = np.load(path)

if runtime == "onnxruntime":
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    run = lambda image: session.run(["score", "map"], {"image": image})
else:
    import openvino

    # In single precision, as everywhere else.
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(image):
        result = compiled({"image": image})
        return result["score"], result["map"]


results = [run(image[np.newaxis]) for image in images]
scores = np.concatenate([score for score, _ in results])
maps = np.concatenate([map for _, map in results])
np.concatenate([scores.ravel(), maps.ravel()]).astype(np.float32).tofile(out)

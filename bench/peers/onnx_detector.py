"""Our exported graph in Python's onnxruntime, for the peers that serve it: constant weights, decoding with Pillow."""

import io
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper
from PIL import Image


class Detector:
    """@param folder with model.onnx and the feeds of the detector, feeds.json and feeds.bin."""

    def __init__(self, folder: str) -> None:
        model = onnx.load(str(Path(folder) / "model.onnx"))
        feeds = json.loads((Path(folder) / "feeds.json").read_text())
        numbers = np.fromfile(Path(folder) / "feeds.bin", dtype=np.float32)
        inputs = [value for value in model.graph.input if value.name not in feeds]
        del model.graph.input[:]
        model.graph.input.extend(inputs)
        for name, (offset, shape) in feeds.items():
            count = int(np.prod(shape))
            tensor = numbers[offset : offset + count].reshape(shape)
            model.graph.initializer.append(numpy_helper.from_array(tensor, name))
        self.size = int(json.loads((Path(folder) / "shape.json").read_text())["inputSize"])
        self.session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def decode(self, image: bytes) -> np.ndarray:
        """Returns uint8 [size, size, 3]."""
        opened = Image.open(io.BytesIO(image)).convert("RGB")
        return np.asarray(opened.resize((self.size, self.size), Image.Resampling.BICUBIC))

    def score(self, images: list[np.ndarray]) -> list[float]:
        (scores,) = self.session.run(["score"], {"image": np.stack(images)})
        return [float(score) for score in scores]

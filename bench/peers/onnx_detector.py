"""Our exported graph in Python's onnxruntime, for the peers that serve it: decoding with Pillow."""

import io
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image


class Detector:
    """@param folder with model.onnx, an exported detector."""

    def __init__(self, folder: str) -> None:
        self.session = ort.InferenceSession(str(Path(folder) / "model.onnx"), providers=["CPUExecutionProvider"])
        _, self.height, self.width, _ = self.session.get_inputs()[0].shape

    def decode(self, image: bytes) -> np.ndarray:
        """Returns uint8 [height, width, 3]."""
        opened = Image.open(io.BytesIO(image)).convert("RGB")
        return np.asarray(opened.resize((self.width, self.height), Image.Resampling.BICUBIC))

    def score(self, images: list[np.ndarray]) -> list[float]:
        (scores,) = self.session.run(["score"], {"image": np.stack(images)})
        return [float(score) for score in scores]

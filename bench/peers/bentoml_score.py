"""BentoML serving our exported graph: BENCH_FOLDER=... BENCH_BATCH=8 bentoml serve bentoml_score:Scoring --port PORT"""

import os
from pathlib import Path

import bentoml
from onnx_detector import Detector


@bentoml.service(workers=1, traffic={"timeout": 60})
class Scoring:
    def __init__(self) -> None:
        self.detector = Detector(os.environ["BENCH_FOLDER"])

    @bentoml.api(batchable=True, max_batch_size=int(os.environ["BENCH_BATCH"]), max_latency_ms=60_000)
    def score(self, image: list[Path]) -> list[float]:
        return self.detector.score([self.detector.decode(path.read_bytes()) for path in image])

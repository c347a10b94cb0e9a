"""LitServe serving our exported graph: python litserve_score.py FOLDER PORT BATCH"""

import sys

import litserve as ls
from fastapi import UploadFile
from onnx_detector import Detector

folder, port, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


class Scoring(ls.LitAPI):
    def setup(self, device) -> None:
        self.detector = Detector(folder)

    def decode_request(self, request: UploadFile):
        return self.detector.decode(request.file.read())

    def batch(self, inputs):
        return list(inputs)

    def predict(self, images):
        return self.detector.score(images)

    def unbatch(self, scores):
        return scores

    def encode_response(self, score):
        return {"score": score}


if __name__ == "__main__":
    api = Scoring(max_batch_size=batch, batch_timeout=0.002)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=port, log_level="warning", generate_client_file=False)

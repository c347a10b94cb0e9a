"""Tests a running service with NVIDIA's client for the Open Inference Protocol V2.

    pip install "tritonclient[http]"
    python bench/clients/triton.py localhost:8080 sample examples [admin key]

Makes every call that the protocol has and checks the responses against /v1. Exits with 1 if one is wrong.
"""

import json
import sys
import urllib.request
from pathlib import Path

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

address, detector, folder = sys.argv[1:4]
key = sys.argv[4] if len(sys.argv) > 4 else None


def headers() -> dict:
    """Returns new headers for each call: the client adds to the dict."""
    return {"authorization": f"Bearer {key}"} if key else {}


client = triton.InferenceServerClient(address)
paths = sorted(Path(folder).glob("*.png"))
images = [path.read_bytes() for path in paths]
checks = 0


def check(what: str, holds: bool) -> None:
    global checks
    checks += 1
    print("ok  " if holds else "WRONG", what)
    if not holds:
        sys.exit(1)


def refused(what: str, call, words: str) -> None:
    try:
        call()
    except InferenceServerException as error:
        check(f"{what}: {error}", words in str(error))
    else:
        check(what, False)


def v1_score(image: bytes) -> dict:
    request = urllib.request.Request(
        f"http://{address}/v1/detectors/{detector}/score",
        data=image,
        headers={"content-type": "image/png", **headers()},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["results"][0]


def bytes_input(binary: bool) -> triton.InferInput:
    tensor = triton.InferInput("image", [len(images)], "BYTES")
    tensor.set_data_from_numpy(np.array(images, dtype=object), binary_data=True)
    return tensor


check("server is live", client.is_server_live(headers=headers()))
check("server is ready", client.is_server_ready(headers=headers()))
server = client.get_server_metadata(headers=headers())
check(f"server metadata {server}", server["name"] == "mkd" and "binary_tensor_data" in server["extensions"])
check("model is ready", client.is_model_ready(detector, headers=headers()))
check("an unknown model is not ready", not client.is_model_ready("nothing", headers=headers()))
metadata = client.get_model_metadata(detector, headers=headers())
check(f"model metadata {metadata['inputs']}", metadata["name"] == detector)
version = metadata["versions"][0]
check("version is ready", client.is_model_ready(detector, version, headers=headers()))
check("index", any(entry["name"] == detector for entry in client.get_model_repository_index(headers=headers())))

expected = [v1_score(image) for image in images]
scores = np.array([result["score"] for result in expected], dtype=np.float32)

answer = client.infer(detector, [bytes_input(True)], request_id="seven", headers=headers())
check("the response has the request id", answer.get_response()["id"] == "seven")
check("binary in, binary out: scores as in /v1", np.allclose(answer.as_numpy("score"), scores, rtol=1e-3, atol=1e-3))
verdicts = [result["verdict"] == "anomalous" for result in expected]
check("verdicts", answer.as_numpy("anomalous").tolist() == verdicts)
check("result ids", all(len(id) == 36 for id in answer.as_numpy("result_id")))

outputs = [triton.InferRequestedOutput("score", binary_data=False), triton.InferRequestedOutput("map", binary_data=True)]
answer = client.infer(detector, [bytes_input(True)], outputs=outputs, model_version=version, headers=headers())
check("JSON and binary outputs in one response", np.allclose(answer.as_numpy("score"), scores, rtol=1e-3, atol=1e-3))
maps = answer.as_numpy("map")
check(f"maps {maps.shape}", maps.ndim == 3 and len(maps) == len(images) and bool((maps >= 0).all()))

pixels = np.full((2, 100, 80, 3), 127, dtype=np.uint8)
for binary in (True, False):
    tensor = triton.InferInput("image", list(pixels.shape), "UINT8")
    tensor.set_data_from_numpy(pixels, binary_data=binary)
    answer = client.infer(detector, [tensor], headers=headers())
    check(f"pixels, binary {binary}", answer.as_numpy("score").shape == (2,))
for algorithm in ("gzip", "deflate"):
    answer = client.infer(detector, [bytes_input(True)], request_compression_algorithm=algorithm, headers=headers())
    check(f"request in {algorithm}", np.allclose(answer.as_numpy("score"), scores, rtol=1e-3, atol=1e-3))

handles = [client.async_infer(detector, [bytes_input(True)], headers=headers()) for _ in range(4)]
check("asynchronous", all(np.allclose(h.get_result().as_numpy("score"), scores, rtol=1e-3, atol=1e-3) for h in handles))

statistics = client.get_inference_statistics(detector, headers=headers())["model_stats"][0]
check(f"statistics {statistics['inference_count']}", statistics["inference_count"] >= 8 * len(images))

broken = triton.InferInput("image", [1], "BYTES")
broken.set_data_from_numpy(np.array([b"no image"], dtype=object))
refused("bytes that are not an image", lambda: client.infer(detector, [broken], headers=headers()), "image")
refused("an unknown model", lambda: client.infer("nothing", [bytes_input(True)], headers=headers()), "nothing")
wrong = [triton.InferRequestedOutput("logits")]
refused("an unknown output", lambda: client.infer(detector, [bytes_input(True)], outputs=wrong, headers=headers()), "logits")

if key:
    client.unload_model(detector, headers=headers())
    check("unloaded", not client.is_model_ready(detector, headers=headers()))
    client.load_model(detector, headers=headers())
    check("loaded again", client.is_model_ready(detector, headers=headers()))
else:
    refused("unloading without an admin key", lambda: client.unload_model(detector), "admin")
print(f"{checks} checks passed")

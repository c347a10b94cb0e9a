"""PyTorch as a peer of the score benchmark: a long-lived child that times or computes scores on request.

    python bench/peers/pytorch_score.py --expert E.safetensors --expert-card E.json --cloner C.safetensors

Eager float32 on the CPU, or with --device cuda on a GPU, with the results copied to the CPU. One JSON object per
line: prints {"ready": true, "torch": ...} once loaded, then reads requests from stdin and answers on stdout until
stdin ends:
  {"op": "score", "batch": N, "repeats": R} -> {"ms": [...]}: wall milliseconds of each repeat, the first cold
  {"op": "gradient", ...} -> the same for score and localization map, |d score / d image| summed over channels
  {"op": "values", "batch": N, "image": base64 of uint8 [N, size, size, 3]} -> {"scores": [...]}
A failed request is answered with {"error": ...}.
"""

import argparse
import base64
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "test" / "goldens"))
import reference as ref


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--expert", required=True)
    parser.add_argument("--expert-card", required=True)
    parser.add_argument("--cloner", required=True)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lambda", dest="value_weight", type=float, default=0.5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_default_device(options.device)

    expert = ref.load_expert(options.expert, options.expert_card)
    expert = {name: tensor.to(options.device) for name, tensor in expert.items()}
    cloner = load_file(options.cloner, device=options.device)

    def score_of(image01):
        e = ref.expert_pools(expert, image01)
        c = ref.cloner_pools(cloner, image01)
        return ref.total_discrepancy(e, c, ref.SCORING_LAYERS, options.value_weight)

    @torch.inference_mode()
    def score(images):
        return score_of(ref.to_image01(images)).cpu()

    def gradient(images):
        image01 = ref.to_image01(images).requires_grad_()
        scores = score_of(image01)
        (image01_grad,) = torch.autograd.grad(scores.sum(), image01)
        return scores.detach().cpu(), image01_grad.abs().sum(1).cpu()

    def answer(request):
        shape = (request["batch"], options.size, options.size, 3)
        if request["op"] == "values":
            data = bytearray(base64.b64decode(request["image"]))
            return {"scores": score(np.frombuffer(data, np.uint8).reshape(shape)).tolist()}
        compute = {"score": score, "gradient": gradient}[request["op"]]
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        return {"ms": [milliseconds(compute, images) for _ in range(request["repeats"])]}

    say({"ready": True, "torch": torch.__version__.split("+")[0]})
    for line in sys.stdin:
        try:
            say(answer(json.loads(line)))
        except Exception as error:  # a bad request must not end the child
            say({"error": f"{type(error).__name__}: {error}"})


def milliseconds(compute, images):
    start = time.perf_counter()
    compute(images)
    return (time.perf_counter() - start) * 1000


def say(message):
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()

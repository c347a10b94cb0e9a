"""Makes model.json, what the TypeScript graphs are checked against: scores, gradients, a training step, Adam.

    python test/goldens/make_goldens.py --expert models/vgg16-imagenet.fp16.safetensors \
        --expert-card models/vgg16-imagenet.json --out test/goldens

Everything is computed twice, in float32 and in float64 from the same float32 weights and images. The float64
results are stored; the largest differences of float32 from them (relative to the tensor's largest entry; of
parameters after Adam, in learning rates) are printed and stored too, as the scale of unavoidable rounding.
Needs bench/peers/requirements.txt.
"""

import argparse
import base64
import json
import math
from pathlib import Path

import numpy as np
import torch

import reference as ref

VALUE_WEIGHT = 0.5
LEARNING_RATE = 1e-3
ADAM_STEPS = 3
SIZE = 64
IMAGE_SEED = 83
LARGEST_SAMPLE = 200


def golden_images(seed=IMAGE_SEED):
    """Two uint8 images [2, 64, 64, 3]: smooth noise, a little detail, a block.

    The detail covers everything, the block included, because equal neighbors would be ties of max pooling,
    decided by rounding. With most seeds rounding decides some ReLU or pooling all the same, and one such
    decision moves gradients by about 1 %. With the default seed and the expert card it was chosen for,
    results held under relative noise of 1e-7 on images and weights; when the printed differences grow, try
    another seed.
    """
    random = ref.Mulberry32(seed)
    shape = (SIZE, SIZE, 3)
    grid = np.linspace(0, 4, SIZE)
    images = []
    for block in [(slice(10, 26), slice(34, 52)), (slice(38, 58), slice(8, 20))]:
        corners = random.draw(5 * 5 * 3).reshape(5, 5, 3) * 110 + 60
        low = np.minimum(grid.astype(int), 3)
        part = grid - low
        rows = corners[low] * (1 - part)[:, None, None] + corners[low + 1] * part[:, None, None]
        image = rows[:, low] * (1 - part)[None, :, None] + rows[:, low + 1] * part[None, :, None]
        image += (random.draw(SIZE * SIZE * 3).reshape(shape) - 0.5) * 24
        image[block] += [48, -40, 32]
        images.append(np.clip(np.rint(image), 0, 255).astype(np.uint8))
    return np.stack(images)


def cast(tensors, dtype):
    return {name: tensor.to(dtype, copy=True) for name, tensor in tensors.items()}


def inference(expert, initial, images, dtype):
    """Scores with their parts, and the plain and the guided gradient of the summed scores to image01."""
    cloner = cast(initial, dtype)
    result = {"value": {}, "direction": {}}
    for key, relu in {"image01Grad": torch.relu, "guidedImage01Grad": ref.GuidedRelu.apply}.items():
        image01 = ref.to_image01(images, dtype).requires_grad_()
        e = ref.expert_pools(expert, image01, relu)
        c = ref.cloner_pools(cloner, image01, relu=relu)
        score = ref.total_discrepancy(e, c, ref.SCORING_LAYERS, VALUE_WEIGHT)
        (result[key],) = torch.autograd.grad(score.sum(), image01)
    result["score"] = score.detach()
    for layer in ref.SCORING_LAYERS:
        result["value"][layer] = ref.value_discrepancy(e[layer], c[layer]).detach()
        result["direction"][layer] = ref.direction_discrepancy(e[layer], c[layer]).detach()
    return result


def training(expert, initial, images, dtype):
    """Adam on one batch: the losses, the first step's gradients and statistics, the final parameters."""
    cloner = cast(initial, dtype)
    parameters = ref.trainable(cloner)
    for parameter in parameters.values():
        parameter.requires_grad_()
    adam = torch.optim.Adam(parameters.values(), lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8)
    image01 = ref.to_image01(images, dtype)
    with torch.no_grad():
        e = ref.expert_pools(expert, image01)
    result = {"losses": []}
    for step in range(ADAM_STEPS):
        c = ref.cloner_pools(cloner, image01, training=True)
        loss = ref.total_discrepancy(e, c, ref.TRAINING_LAYERS, VALUE_WEIGHT).mean()
        adam.zero_grad()
        loss.backward()
        result["losses"].append(loss.detach())
        if step == 0:
            result["gradients"] = {name: tensor.grad.clone() for name, tensor in parameters.items()}
            result["statistics"] = {name: cloner[name].clone() for name in cloner if name not in parameters}
        adam.step()
    result["losses"] = torch.stack(result["losses"])
    result["parameters"] = {name: tensor.detach() for name, tensor in parameters.items()}
    return result


def difference(single, double):
    """Largest |float32 - float64|, relative to the largest |float64| of the same tensor."""
    if isinstance(double, dict):
        return max(difference(single[key], double[key]) for key in double)
    return float((single.double() - double).abs().max() / double.abs().max())


def number(value):
    return float(f"{float(value):.9g}")


def numbers(tensor):
    return [number(value) for value in tensor.flatten()]


def sample(tensor):
    """Every k-th entry in row-major order; k has no factor of the size, so every kernel position occurs."""
    count = tensor.numel()
    stride = math.ceil(count / LARGEST_SAMPLE)
    while math.gcd(stride, count) > 1:
        stride += 1
    return {
        "largest": number(tensor.abs().max()),
        "stride": stride,
        "sample": numbers(tensor.flatten()[::stride]),
    }


def packed(array, kind):
    """A whole tensor as base64 of little-endian numbers."""
    array = np.ascontiguousarray(array, dtype=np.dtype(kind).newbyteorder("<"))
    text = base64.b64encode(array.tobytes()).decode("ascii")
    return {"shape": list(array.shape), "type": kind, "base64": text}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--expert", required=True)
    parser.add_argument("--expert-card", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--image-seed", type=int, default=IMAGE_SEED)
    options = parser.parse_args()
    torch.set_num_threads(2)

    images, initial = golden_images(options.image_seed), ref.golden_cloner()
    results = {}
    for dtype in (torch.float32, torch.float64):
        expert = ref.load_expert(options.expert, options.expert_card, dtype)
        results[dtype] = {
            "inference": inference(expert, initial, images, dtype),
            "training": training(expert, initial, images, dtype),
        }
    single, double = results[torch.float32], results[torch.float64]
    rounding = {
        f"{part}.{key}": difference(single[part][key], double[part][key])
        for part in double
        for key in double[part]
        if key != "parameters"
    }
    rounding["adam.parameters"] = max(
        float((single["training"]["parameters"][name].double() - parameter).abs().max()) / LEARNING_RATE
        for name, parameter in double["training"]["parameters"].items()
    )
    for key, value in rounding.items():
        rounding[key] = float(f"{value:.2g}")
        print(f"float32 from float64, {key}: {rounding[key]}")

    inferred, trained = double["inference"], double["training"]
    with open(options.expert_card, encoding="utf-8") as card:
        rms = json.load(card)["activationRms"]
    golden = {
        "about": "PyTorch float64 results by make_goldens.py; sample: each stride-th entry, row-major",
        "torch": torch.__version__.split("+")[0],
        "activationRms": rms,
        "lambda": VALUE_WEIGHT,
        "scoringLayers": ref.SCORING_LAYERS,
        "trainingLayers": ref.TRAINING_LAYERS,
        "float32Difference": rounding,
        "imagesNhwc": packed(images, "uint8"),
        "initial": {
            name: {"sum": number(tensor.double().sum()), "first": numbers(tensor.flatten()[:3])}
            for name, tensor in initial.items()
        },
        "inference": {
            "score": numbers(inferred["score"]),
            "value": {layer: numbers(inferred["value"][layer]) for layer in ref.SCORING_LAYERS},
            "direction": {layer: numbers(inferred["direction"][layer]) for layer in ref.SCORING_LAYERS},
            "image01Grad": packed(inferred["image01Grad"].numpy(), "float32"),
            "guidedImage01Grad": packed(inferred["guidedImage01Grad"].numpy(), "float32"),
        },
        "training": {
            "loss": number(trained["losses"][0]),
            "statistics": {name: numbers(tensor) for name, tensor in trained["statistics"].items()},
            "gradients": {name: sample(tensor) for name, tensor in trained["gradients"].items()},
        },
        "adam": {
            "learningRate": LEARNING_RATE,
            "losses": numbers(trained["losses"]),
            "parameters": {name: sample(tensor) for name, tensor in trained["parameters"].items()},
        },
    }
    file = options.out / "model.json"
    file.write_text(json.dumps(golden, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{file}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()

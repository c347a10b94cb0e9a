"""Replays a recorded distillation in PyTorch and compares the loss of every step.

    python bench/peers/pytorch_distill.py TRACE_DIR --expert E.safetensors --expert-card E.json

TRACE_DIR holds initial.safetensors (the cloner before the first step), images.safetensors ("images", uint8
[N, H, W, 3]) and trace.json ({"lambda", "trainingLayers", "learningRate", "batches": lists of image indices,
"losses": one per batch}). Exits with 1 if the largest relative difference exceeds --tolerance.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "test" / "goldens"))
import reference as ref

EXPERT_BATCH = 16


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trace_dir", type=Path)
    parser.add_argument("--expert", required=True)
    parser.add_argument("--expert-card", required=True)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--float64", action="store_true", help="separates rounding from errors")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dtype = torch.float64 if options.float64 else torch.float32

    trace = json.loads((options.trace_dir / "trace.json").read_text(encoding="utf-8"))
    image01 = ref.to_image01(load_file(options.trace_dir / "images.safetensors")["images"], dtype)
    initial = load_file(options.trace_dir / "initial.safetensors")
    cloner = {name: tensor.to(dtype) for name, tensor in initial.items()}
    parameters = [tensor.requires_grad_() for tensor in ref.trainable(cloner).values()]
    adam = torch.optim.Adam(parameters, lr=trace["learningRate"], betas=(0.9, 0.999), eps=1e-8)
    expert = ref.load_expert(options.expert, options.expert_card, dtype)
    expert_features = features(expert, image01, trace["trainingLayers"])
    if len(trace["losses"]) != len(trace["batches"]):
        sys.exit("trace.json: losses and batches differ in number")

    differences = []
    print(f"{'step':>6} {'ours':>12} {'PyTorch':>12} {'difference':>11}")
    for step, (batch, ours) in enumerate(zip(trace["batches"], trace["losses"]), 1):
        e = {layer: activations[batch] for layer, activations in expert_features.items()}
        c = ref.cloner_pools(cloner, image01[batch], training=True)
        loss = ref.total_discrepancy(e, c, trace["trainingLayers"], trace["lambda"]).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        theirs = loss.item()
        differences.append(abs(ours - theirs) / abs(theirs))
        print(f"{step:6d} {ours:12.7g} {theirs:12.7g} {differences[-1]:11.2e}")
    good = all(difference <= options.tolerance for difference in differences)
    print(f"largest relative difference {max(differences, default=0):.2e}, tolerance {options.tolerance:.2e}")
    sys.exit(0 if good else 1)


@torch.no_grad()
def features(expert, image01, layers):
    """Returns the expert's activations at `layers` for every image, computed once."""
    parts = [ref.expert_pools(expert, part) for part in image01.split(EXPERT_BATCH)]
    return {layer: torch.cat([part[layer] for part in parts]) for layer in layers}


if __name__ == "__main__":
    main()

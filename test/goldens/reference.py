"""The independent PyTorch reference of the method: expert, cloner, discrepancies, score and loss.

Written from the paper's equations, not from the TypeScript sources, so that the goldens (make_goldens.py) and
the peers (bench/peers) check those sources against something else. Images are uint8 NHWC RGB; inside the
networks everything is NCHW. Networks are functions of named tensors, the names those of the weight files.
"""

import json
import math

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

EXPERT_BLOCKS = [[64, 64], [128, 128], [256, 256, 256], [512, 512, 512], [512, 512, 512]]
CLONER_BLOCKS = [[16, 16], [16, 128], [16, 16, 256], [16, 16, 512], [16, 16, 512]]
EXPERT_MEAN_BGR = [103.939, 116.779, 123.68]
SCORING_LAYERS = ["pool3", "pool4", "pool5"]
TRAINING_LAYERS = ["pool2", "pool3", "pool4", "pool5"]
BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_MOMENTUM = 0.1
SMALLEST_SQUARED_NORM = 1e-12


def to_image01(images_nhwc, dtype=torch.float32):
    """uint8 [N, H, W, 3] to 0..1 [N, 3, H, W]; rounded to float32 first, whatever the dtype."""
    images = torch.as_tensor(images_nhwc).permute(0, 3, 1, 2).contiguous()
    return (images.float() / 255).to(dtype)


def load_expert(weights_file, card_file, dtype=torch.float32):
    """The expert's tensors, each convolution rescaled to unit activations by the card's `activationRms`."""
    raw = load_file(weights_file)
    with open(card_file, encoding="utf-8") as card:
        rms = json.load(card)["activationRms"]
    expert, previous = {}, 1.0
    for name in _convolutions(EXPERT_BLOCKS):
        weight = raw[f"{name}.weight"].double() * (previous / rms[name])
        bias = raw[f"{name}.bias"].double() / rms[name]
        expert[f"{name}.weight"] = weight.float().to(dtype)
        expert[f"{name}.bias"] = bias.float().to(dtype)
        previous = rms[name]
    return expert


def expert_pools(expert, image01, relu=F.relu):
    """VGG-16's five poolings, by name."""
    mean = torch.tensor(EXPERT_MEAN_BGR, dtype=image01.dtype).view(1, 3, 1, 1)
    x = (image01 * 255).flip(1) - mean
    pools = {}
    for block, widths in enumerate(EXPERT_BLOCKS, 1):
        for index in range(1, len(widths) + 1):
            name = f"conv{block}_{index}"
            x = relu(F.conv2d(x, expert[f"{name}.weight"], expert[f"{name}.bias"], padding=1))
        x = pools[f"pool{block}"] = F.max_pool2d(x, 2)
    return pools


def cloner_pools(cloner, image01, training=False, relu=F.relu):
    """The cloner's five poolings, by name. Training mode updates the running statistics in place."""
    x = image01
    pools = {}
    for block, widths in enumerate(CLONER_BLOCKS, 1):
        for index in range(1, len(widths) + 1):
            x = F.conv2d(x, cloner[f"conv{block}_{index}.weight"], padding=1)
            if index < len(widths):
                bn = f"bn{block}_{index}"
                x = F.batch_norm(
                    x,
                    cloner[f"{bn}.running_mean"],
                    cloner[f"{bn}.running_var"],
                    cloner[f"{bn}.weight"],
                    cloner[f"{bn}.bias"],
                    training=training,
                    momentum=BATCH_NORM_MOMENTUM,
                    eps=BATCH_NORM_EPSILON,
                )
            x = relu(x)
        x = pools[f"pool{block}"] = F.max_pool2d(x, 2)
    return pools


def value_discrepancy(e, c):
    """V, one number per image: the mean squared difference."""
    return (e - c).square().flatten(1).mean(1)


def direction_discrepancy(e, c):
    """D, one number per image: one minus the cosine of the flattened activations."""
    e, c = e.flatten(1), c.flatten(1)
    e_norm = e.square().sum(1).clamp_min(SMALLEST_SQUARED_NORM).sqrt()
    c_norm = c.square().sum(1).clamp_min(SMALLEST_SQUARED_NORM).sqrt()
    return 1 - (e * c).sum(1) / (e_norm * c_norm)


def total_discrepancy(e, c, layers, value_weight):
    """Sum over layers of D + lambda * V, one number per image, from the pools of expert and cloner.

    Over the scoring layers it is the anomaly score; over the training layers its mean is the loss.
    """
    return sum(
        direction_discrepancy(e[layer], c[layer]) + value_weight * value_discrepancy(e[layer], c[layer])
        for layer in layers
    )


class GuidedRelu(torch.autograd.Function):
    """ReLU for guided backpropagation: passes back positive gradient only, where its output is positive."""

    @staticmethod
    def forward(ctx, x):
        y = F.relu(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, y_grad):
        (y,) = ctx.saved_tensors
        return y_grad * (y > 0) * (y_grad > 0)


class Mulberry32:
    """The 32-bit generator `mulberry32`, bit for bit as in JavaScript."""

    def __init__(self, seed):
        self.state = seed & 0xFFFFFFFF

    def draw(self, count):
        """The next `count` numbers, in [0, 1)."""
        steps = np.arange(1, count + 1, dtype=np.uint64) * 0x6D2B79F5 + np.uint64(self.state)
        a = steps.astype(np.uint32)  # modulo 2^32, as every operation below
        if count > 0:
            self.state = int(a[-1])
        t = (a ^ (a >> 15)) * (a | 1)
        t = (t + (t ^ (t >> 7)) * (t | 61)) ^ t
        return (t ^ (t >> 14)).astype(np.float64) / 2**32


def golden_cloner():
    """Deterministic float32 cloner: Xavier-uniform convolutions from seed 1, batch norms from seed 2."""
    cloner = {}
    random = Mulberry32(1)
    for name, (inputs, outputs) in _convolutions(CLONER_BLOCKS).items():
        limit = math.sqrt(6 / (9 * inputs + 9 * outputs))
        values = limit * (2 * random.draw(outputs * inputs * 9) - 1)
        cloner[f"{name}.weight"] = torch.from_numpy(values.astype(np.float32)).view(outputs, inputs, 3, 3)
    random = Mulberry32(2)
    for block, widths in enumerate(CLONER_BLOCKS, 1):
        for index, channels in enumerate(widths[:-1], 1):
            for tensor, from_uniform in {
                "weight": lambda u: 0.5 + u,
                "bias": lambda u: u - 0.5,
                "running_mean": lambda u: 0.2 * (u - 0.5),
                "running_var": lambda u: 0.5 + u,
            }.items():
                values = from_uniform(random.draw(channels)).astype(np.float32)
                cloner[f"bn{block}_{index}.{tensor}"] = torch.from_numpy(values)
    return cloner


def trainable(cloner):
    """The cloner's tensors that Adam updates, by name: everything but the running statistics."""
    return {name: tensor for name, tensor in cloner.items() if ".running_" not in name}


def _convolutions(blocks):
    """Names of the convolutions in order, each with its (input, output) channels."""
    sizes, inputs = {}, 3
    for block, widths in enumerate(blocks, 1):
        for index, outputs in enumerate(widths, 1):
            sizes[f"conv{block}_{index}"] = (inputs, outputs)
            inputs = outputs
    return sizes

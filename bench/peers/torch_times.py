"""Times networks in PyTorch, on the CPU: answers JSON lines {"network", "batch", "size", "runs",
"compiled", "gradient"} with the seconds.

Networks: the path of an exported detector's score, whose ONNX graph is computed operator by operator; or one of `vgg16`,
`efficientad-s` (student, teacher and autoencoder) and `patchcore` (WideResNet-50 and a memory of 1 % of the patches of 200
photos), with random weights. Each is opened once; its first runs do not count.
"""

import json
import sys
import time

import numpy as np
import onnx
import torch
import torch._inductor.config
import torch.nn.functional as F
from onnx import numpy_helper
from torch import nn

torch.set_num_threads(int(sys.argv[1]))
torch.manual_seed(0)
# Weights are constants, as in the other runtimes.
torch._inductor.config.freezing = True
types = {1: torch.float32, 2: torch.uint8, 7: torch.int64, 9: torch.bool}


def pair_pads(pads):
    """Returns the padding of a convolution, which must be the same on both sides."""
    top, left, bottom, right = pads
    return (top, left) if (top, left) == (bottom, right) else None


def conv(x, w, b=None, *, strides, pads, dilations, group, kernel_shape):
    padding = pair_pads(pads)
    if padding is None:
        top, left, bottom, right = pads
        x, padding = F.pad(x, (left, right, top, bottom)), 0
    return F.conv2d(x, w, b, strides, padding, dilations, group)


def reduced(function):
    def reduce(x, axes, *, keepdims=1, noop_with_empty_axes=0):
        return function(x, axes, bool(keepdims))

    return reduce


def reshape(x, shape, *, allowzero=0):
    return x.reshape([x.shape[at] if size == 0 else size for at, size in enumerate(shape)])


operators = {
    "Abs": torch.abs,
    "Add": torch.add,
    "AveragePool": lambda x, *, kernel_shape, strides, pads: F.avg_pool2d(x, kernel_shape, strides),
    "Cast": lambda x, *, to: x.to(types[to]),
    "Clip": lambda x, low, high: torch.clamp(x, low, high),
    "Concat": lambda *xs, axis: torch.cat(xs, axis),
    "Conv": conv,
    "Div": torch.div,
    "Equal": torch.eq,
    "Exp": torch.exp,
    "Identity": lambda x: x,
    "Log": torch.log,
    "MatMul": torch.matmul,
    "Max": torch.maximum,
    "MaxPool": lambda x, *, kernel_shape, strides, pads: F.max_pool2d(x, kernel_shape, strides, pair_pads(pads)),
    "Min": torch.minimum,
    "Mul": torch.mul,
    "Reciprocal": torch.reciprocal,
    "ReduceMax": reduced(torch.amax),
    "ReduceMean": reduced(torch.mean),
    "ReduceSum": reduced(torch.sum),
    "ReduceSumSquare": reduced(lambda x, axes, keep: (x * x).sum(axes, keep)),
    "Relu": torch.relu,
    "Reshape": reshape,
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
    "Transpose": lambda x, *, perm: x.permute(perm),
}


class Exported(nn.Module):
    """An exported detector, from uint8 [n, height, width, 3] to its score [n]."""

    def __init__(self, path):
        super().__init__()
        graph = onnx.load(path).graph
        self.image = graph.input[0].name
        self.output = graph.output[0].name
        stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.names = {name: f"constant{at}" for at, name in enumerate(stored)}
        for name, value in stored.items():
            self.register_buffer(self.names[name], torch.from_numpy(value.copy()))
        self.steps = []
        for node in graph.node:
            if node.op_type not in operators:
                raise ValueError(f"the operator {node.op_type} is not written here")
            settings = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
            # Axes, shapes and bounds are Python's numbers; all else is tensors.
            plain = node.op_type in ("Clip", "Reshape") or node.op_type.startswith("Reduce")
            inputs = [stored[name].tolist() if plain and at > 0 else name for at, name in enumerate(node.input)]
            self.steps.append((operators[node.op_type], inputs, settings, node.output[0]))

    def forward(self, image):
        values = {self.image: image}

        def value(of):
            if not isinstance(of, str):
                return of
            return getattr(self, self.names[of]) if of in self.names else values[of]

        for operator, inputs, settings, output in self.steps:
            values[output] = operator(*[value(of) for of in inputs if of != ""], **settings)
        return values[self.output]


def pixels_to_planes(image):
    return image.permute(0, 3, 1, 2).float() / 255


def vgg16():
    widths = [64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512, "pool"]
    layers, before = [], 3
    for width in widths:
        if width == "pool":
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
        before = width
    return nn.Sequential(*layers)


def patch_network(out):
    """The patch description network of EfficientAD, small (Batzner et al. 2024, table 6)."""
    return nn.Sequential(
        nn.Conv2d(3, 128, 4), nn.ReLU(), nn.AvgPool2d(2, 2),
        nn.Conv2d(128, 256, 4), nn.ReLU(), nn.AvgPool2d(2, 2),
        nn.Conv2d(256, 256, 3), nn.ReLU(), nn.Conv2d(256, out, 4),
    )  # fmt: skip


class EfficientAD(nn.Module):
    def __init__(self):
        super().__init__()
        self.teacher, self.student = patch_network(384), patch_network(768)
        encoder, before = [], 3
        for width, kernel, stride, pad in [(32, 4, 2, 1), (32, 4, 2, 1), (64, 4, 2, 1), (64, 4, 2, 1), (64, 4, 2, 1), (64, 8, 1, 0)]:
            encoder += [nn.Conv2d(before, width, kernel, stride, pad), nn.ReLU()]
            before = width
        self.encoder = nn.Sequential(*encoder[:-1])
        self.decoders = nn.ModuleList([nn.Conv2d(64, 64, 4, padding=2) for _ in range(6)])
        self.last = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 384, 3, padding=1))

    def forward(self, image):
        planes = pixels_to_planes(image)
        teacher, student = self.teacher(planes), self.student(planes)
        side = teacher.shape[-1]
        code = self.encoder(planes)
        for decoder, at in zip(self.decoders, [3, 8, 15, 32, 63, 127]):
            code = F.relu(decoder(F.interpolate(code, at, mode="bilinear")))
        code = self.last(F.interpolate(code, side, mode="bilinear"))
        local = ((teacher - student[:, :384]) ** 2).mean(1, keepdim=True)
        structural = ((code - student[:, 384:]) ** 2).mean(1, keepdim=True)
        return F.interpolate(local + structural, image.shape[1], mode="bilinear").amax((1, 2, 3))


class Bottleneck(nn.Module):
    def __init__(self, before, width, out, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, width, 1), nn.ReLU(), nn.Conv2d(width, width, 3, stride, 1), nn.ReLU(), nn.Conv2d(width, out, 1),
        )  # fmt: skip
        self.shortcut = nn.Identity() if before == out and stride == 1 else nn.Conv2d(before, out, 1, stride)

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x))


class PatchCore(nn.Module):
    """WideResNet-50's second and third stage, batch normalization folded, and the nearest of 2,048 remembered patches."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        stages, before = [], 64
        for width, out, blocks, stride in [(128, 256, 3, 1), (256, 512, 4, 2), (512, 1024, 6, 2)]:
            stages.append(nn.Sequential(*[Bottleneck(before if at == 0 else out, width, out, stride if at == 0 else 1) for at in range(blocks)]))
            before = out
        self.stages = nn.ModuleList(stages)
        self.memory = nn.Parameter(torch.randn(2048, 1536), requires_grad=False)

    def forward(self, image):
        first = self.stages[0](self.stem(pixels_to_planes(image)))
        second = self.stages[1](first)
        third = F.interpolate(self.stages[2](second), second.shape[-1], mode="bilinear")
        patches = F.avg_pool2d(torch.cat([second, third], 1), 3, 1, 1).flatten(2).transpose(1, 2)
        return torch.cdist(patches.reshape(-1, 1536), self.memory).amin(1).reshape(len(image), -1).amax(1)


def network(name):
    if name == "vgg16":
        layers = vgg16()
        return lambda image: layers(pixels_to_planes(image))
    if name == "efficientad-s":
        return EfficientAD()
    if name == "patchcore":
        return PatchCore()
    return Exported(name).eval()


def images_of(batch, size, planes):
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8))
    return pixels_to_planes(pixels).contiguous() if planes else pixels


def with_gradient(forward):
    """Returns a function that computes the score of planes in 0..1 and its gradient with respect to them."""

    def run(planes):
        leaf = planes.clone().requires_grad_()
        score = forward(leaf)
        return score, torch.autograd.grad(score.sum(), leaf)[0]

    return run


opened = {}
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    try:
        name, batch, compiled, gradient = (request[key] for key in ("network", "batch", "compiled", "gradient"))
        with torch.inference_mode(not gradient):
            if (name, batch, compiled) not in opened:
                forward = network(name)
                opened[name, batch, compiled] = torch.compile(forward) if compiled else forward
            forward = opened[name, batch, compiled]
            run = with_gradient(forward) if gradient else forward
            images = images_of(batch, request["size"], gradient)
            for _ in range(2):
                run(images)
            began = time.perf_counter()
            for _ in range(request["runs"]):
                run(images)
            print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)
    except Exception as error:
        print(json.dumps({"error": str(error)}), flush=True)

"""How much faster a training step is in bfloat16 than in float32, for each backbone, in one run.

    python benchmarks/precision.py [--device cpu] [--resolution 64] [--batch 32] [--threads 1] [NAME ...]
    python benchmarks/precision.py --maps [--float32] [--batch 64] [--threads 1]

Forward, loss, backward and AdamW on one fixed batch of RGB images, both precisions in turn; the median over
the rounds of each round's ratio. The last column says what training chooses on this machine. With ``--maps``:
forward and backward of the convolutions at the end of small ResNets in bfloat16 or float32, torch's own and
those of ``backend.models.small_maps``, by the side of the map that goes in.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.models.backbones import create_backbone, list_backbones
from backend.models.small_maps import SmallMapConv2d
from backend.training.optim import make_optimizer, resolve_device, training_precision

CLASSES = 4
LAST = (
    (64, 64, 3, 1),
    (64, 128, 3, 2),
    (128, 128, 3, 1),
    (128, 256, 3, 2),
    (128, 256, 1, 2),
    (256, 256, 3, 1),
)
"""Channels in and out, kernel and stride of the last stages of ResNet-10 at half width."""
SIDES = (1, 2, 3, 4, 6, 8, 12)


class Step:
    """One training step of a backbone with a linear head, in either precision."""

    def __init__(self, backbone: str, images: Tensor) -> None:
        encoder = create_backbone(backbone, images.shape[1])
        head = torch.nn.Linear(encoder.feature_dim, CLASSES)
        self.model = (
            torch.nn.Sequential(encoder, head).to(images.device).to(memory_format=torch.channels_last)
        )
        self.optimizer = make_optimizer(self.model.named_parameters(), learning_rate=1e-3, weight_decay=0.01)
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.labels = torch.arange(len(images), device=images.device) % CLASSES

    def seconds(self, steps: int, *, bfloat16: bool) -> float:
        """Time of ``steps`` steps."""
        self._wait()
        started = time.perf_counter()
        for _ in range(steps):
            with torch.autocast(self.images.device.type, torch.bfloat16, enabled=bfloat16):
                logits = self.model(self.images)
            self.optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(logits.float(), self.labels).backward()
            self.optimizer.step()
        self._wait()
        return time.perf_counter() - started

    def _wait(self) -> None:
        if self.images.device.type == "cuda":
            torch.cuda.synchronize()


def measure(backbone: str, images: Tensor, steps: int, rounds: int) -> tuple[float, float, float]:
    """Milliseconds of a step in float32 and in bfloat16, and the median ratio."""
    step = Step(backbone, images)
    for bfloat16 in (False, True):
        step.seconds(1, bfloat16=bfloat16)
    pairs = [(step.seconds(steps, bfloat16=False), step.seconds(steps, bfloat16=True)) for _ in range(rounds)]
    full, half = (1000 * statistics.median(times) / steps for times in zip(*pairs, strict=True))
    return full, half, statistics.median(one / other for one, other in pairs)


def measure_maps(batch: int, rounds: int, *, bfloat16: bool) -> None:
    """Print milliseconds of a forward and backward pass of single convolutions, both ways in turn."""
    print(f"{'convolution':24s} {'map':>7s} {'torch':>9s} {'ours':>9s} {'ratio':>7s}")
    for inputs, outputs, kernel, stride in LAST:
        for side in SIDES:
            plain = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
            plain = plain.to(memory_format=torch.channels_last)
            images = torch.rand(batch, inputs, side, side).contiguous(memory_format=torch.channels_last)
            both = [plain, SmallMapConv2d.of(plain)]
            pairs = [[_pass_seconds(one, images, bfloat16) for one in both] for _ in range(rounds + 2)][2:]
            own, ours = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
            ratio = statistics.median(one / other for one, other in pairs)
            name = f"{inputs} to {outputs}, {kernel} x {kernel}, by {stride}"
            print(f"{name:24s} {side:3d} x {side:<2d} {own:6.2f} ms {ours:6.2f} ms {ratio:7.2f}", flush=True)


def _pass_seconds(convolution: nn.Conv2d, images: Tensor, bfloat16: bool) -> float:
    images = images.detach().requires_grad_()
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        output = convolution(images)
    output.backward(torch.ones_like(output))
    return time.perf_counter() - started


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="backbones (default: all)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--maps", action="store_true", help="single convolutions over small maps")
    parser.add_argument("--float32", action="store_true", help="these in float32")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.maps:
        measure_maps(arguments.batch, arguments.rounds, bfloat16=not arguments.float32)
        return 0
    device = resolve_device(arguments.device)
    images = torch.rand(arguments.batch, 3, arguments.resolution, arguments.resolution, device=device)
    print(f"{'backbone':20s} {'float32':>10s} {'bfloat16':>10s} {'ratio':>7s}  chosen")
    for name in arguments.names or [info.name for info in list_backbones()]:
        full, half, ratio = measure(name, images, arguments.steps, arguments.rounds)
        print(
            f"{name:20s} {full:7.1f} ms {half:7.1f} ms {ratio:7.2f}  {training_precision(device, name)}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

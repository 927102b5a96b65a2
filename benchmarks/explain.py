"""Class maps a second: this project's Grad-CAM, the grad-cam package, and the forward pass alone.

    python benchmarks/explain.py [--images 256] [--resolution 64] [--backbone resnet18] [--json]

All sides see the same network, pictures, classes, threads and batch size, and run in turn in one process; the
median over the rounds is reported, of speeds and of each round's ratios. Maps are enlarged to the pictures'
size on both sides. Before anything is timed, the maps of both are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from backend.config import ModelConfig
from backend.explain.gradcam import default_stage, grad_cam, local_cam
from backend.explain.heatmap import enlarge
from backend.models.batch import FruitBatch
from backend.models.network import FruitNetwork, NetworkSpec
from backend.training.optim import prepare_worker

CLASSES = 10
SIDES = ("ours", "local", "batched", "one_by_one", "forward_only")


class OnePicture(nn.Module):
    """The network as the package takes it: pictures to logits."""

    def __init__(self, model: FruitNetwork) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, D)."""
        return self.model(as_batch(pictures))


def as_batch(pictures: Tensor) -> FruitBatch:
    """Fruit of one view each."""
    count = len(pictures)
    return FruitBatch(
        images={"rgb": pictures.unsqueeze(1)},
        present={"rgb": torch.ones(count, 1, dtype=torch.bool)},
        pressure=torch.zeros(count, 0),
        pressure_present=torch.zeros(count, 0, dtype=torch.bool),
        labels=torch.zeros(count, CLASSES),
        index=torch.arange(count),
    )


class Sides:
    """What is timed: every side explains (or only classifies) all pictures once."""

    def __init__(self, backbone: str, images: int, resolution: int, batch_size: int) -> None:
        torch.manual_seed(0)
        spec = NetworkSpec({"rgb": 3}, {"rgb": 1}, 0, CLASSES)
        self.model = FruitNetwork(ModelConfig(backbone=backbone), spec).eval()
        self.model.to(memory_format=torch.channels_last)
        self.pictures = torch.rand(images, 3, resolution, resolution).contiguous(
            memory_format=torch.channels_last
        )
        self.targets = torch.arange(images) % CLASSES
        self.batch_size = batch_size
        self.stage = default_stage(self.model, resolution)
        layer = self.model.encoder("rgb").backbone.stages[-1]
        self.package = GradCAM(OnePicture(self.model).eval(), [layer])

    def ours(self) -> Tensor:
        """(N, S, S) maps, enlarged."""
        size = self.pictures.shape[-1]
        parts = [
            enlarge(grad_cam(self.model, as_batch(pictures), targets).maps["rgb"], size)[:, 0]
            for pictures, targets in self._batches(self.batch_size)
        ]
        return torch.cat(parts)

    def local(self) -> Tensor:
        """What studies store: maps of an earlier stage, finer and dearer."""
        size = self.pictures.shape[-1]
        parts = [
            enlarge(local_cam(self.model, as_batch(pictures), targets, self.stage).maps["rgb"], size)[:, 0]
            for pictures, targets in self._batches(self.batch_size)
        ]
        return torch.cat(parts)

    def batched(self) -> Tensor:
        """The package, as many pictures at a time."""
        return self._package(self.batch_size)

    def one_by_one(self) -> Tensor:
        """The package, a picture at a time."""
        return self._package(1)

    @torch.inference_mode()
    def forward_only(self) -> Tensor:
        """The logits alone."""
        return torch.cat([self.model(as_batch(pictures)) for pictures, _ in self._batches(self.batch_size)])

    def _package(self, size: int) -> Tensor:
        parts = []
        for pictures, targets in self._batches(size):
            wanted = [ClassifierOutputTarget(int(target)) for target in targets]
            parts.append(torch.from_numpy(self.package(pictures, targets=wanted)))
        return torch.cat(parts)

    def _batches(self, size: int) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self.pictures.split(size), self.targets.split(size), strict=True))

    def largest_difference(self) -> float:
        """Between the maps of both, each scaled from 0 to 1.

        The package adds 1e-7 to the peak it divides by, which faint maps show, and scales what comes of it
        once more, which takes that back.
        """
        maps = self.ours()
        maps = maps - maps.amin(dim=(1, 2), keepdim=True)
        maps = maps / maps.amax(dim=(1, 2), keepdim=True).clamp(min=1e-7)
        return float((maps - self.batched()).abs().max())


def seconds(work: Callable[[], Tensor]) -> float:
    """How long ``work`` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(arguments: argparse.Namespace) -> dict[str, float | int | str]:
    """Run all sides in turn."""
    prepare_worker(arguments.threads)
    sides = Sides(arguments.backbone, arguments.images, arguments.resolution, arguments.batch)
    difference = sides.largest_difference()
    sides.forward_only()
    rounds = [{name: seconds(getattr(sides, name)) for name in SIDES} for _ in range(arguments.rounds)]
    rate = {name: arguments.images / statistics.median(times[name] for times in rounds) for name in rounds[0]}
    ratio = {name: statistics.median(times[name] / times["ours"] for times in rounds) for name in rounds[0]}
    return {
        "backbone": arguments.backbone,
        "threads": torch.get_num_threads(),
        "resolution": arguments.resolution,
        "images": arguments.images,
        "batch": arguments.batch,
        "largest_difference": difference,
        **{f"{name}_per_second": round(value, 1) for name, value in rate.items()},
        "times_batched": round(ratio["batched"], 2),
        "times_one_by_one": round(ratio["one_by_one"], 2),
        "share_of_forward_only": round(ratio["forward_only"], 3),
    }


def main() -> int:
    """Print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments)
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        print("\n".join(f"{name:26s} {value}" for name, value in result.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

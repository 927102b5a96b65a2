"""Does the fast step learn as well as lightly's? kNN after the same training by both, on the same images.

    python benchmarks/parity.py DATASET [--epochs 20] [--seeds 3] [--size 32] [--fruit N] [--json]

Ours augments whole batches of tensors and sends both views through one forward, so they share BatchNorm
statistics. The peer makes each view with lightly's SimCLRTransform from PIL images and sends the views
through two forwards into lightly's NTXentLoss. Backbone, head, optimiser, schedule, batch, epochs, seeds and
held-out fruit are the same. Promise: the means over the seeds lie within one point of kNN accuracy.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.cli import EXIT_OK, print_json, run_command

if TYPE_CHECKING:
    from torch import nn

    from backend.config import RunConfig
    from backend.data.cache import ImageCache
    from backend.data.dataset import FruitDataset

METHOD = "simclr"


@dataclass(frozen=True)
class Row:
    """kNN accuracy of one seed."""

    seed: int
    random_init: float
    ours: float
    peer: float


@dataclass(frozen=True)
class Setup:
    """What both sides share: the fruit, who trains, who is held out, and the configuration."""

    dataset: FruitDataset
    cache: ImageCache
    train: Any
    test: Any
    config: RunConfig

    @property
    def modality(self) -> str:
        """The one sensor that both sides see."""
        return self.config.model.modalities[0]


def make_setup(options: argparse.Namespace) -> Setup:
    """Read the data set, hold out one outer fold, configure SimCLR."""
    import numpy as np

    from backend.config import AugmentConfig, DataConfig, ModelConfig, RunConfig
    from backend.data.cache import open_cache
    from backend.data.manifest import read_dataset
    from backend.data.splits import outer_folds
    from backend.methods.registry import default_method_config, default_optim

    folder = options.cache or options.dataset.parent
    dataset = read_dataset(options.dataset, cache_dir=folder)
    cache = open_cache(dataset, options.size, folder)
    folds = outer_folds(dataset.labels, dataset.groups, 5, 0)
    train = np.flatnonzero(folds > 0)
    if options.fruit:
        train = np.sort(np.random.default_rng(0).permutation(train)[: options.fruit])
    config = RunConfig(
        kind="pretrain",
        method=default_method_config(METHOD),
        model=ModelConfig(modalities=tuple(dataset.modalities)[:1]),
        augment=AugmentConfig(policy="simclr"),
        optim=default_optim(METHOD, epochs=options.epochs, batch_size=options.batch),
        data=DataConfig(resolution=options.size),
    )
    return Setup(dataset, cache, train, np.flatnonzero(folds == 0), config)


def knn_accuracy(encoder: nn.Module, setup: Setup) -> float:
    """Share of held-out fruit that their nearest training fruit name rightly."""
    import torch

    from backend.evaluation.features import Part
    from backend.evaluation.knn import knn_scores

    encoder.eval()
    features = {}
    with torch.inference_mode():
        for name, rows in (("train", setup.train), ("test", setup.test)):
            parts = [encoder(images(setup, rows[start : start + 256])) for start in range(0, len(rows), 256)]
            features[name] = torch.cat(parts).numpy()
    labels = setup.dataset.labels
    score = knn_scores(Part(features["train"], labels[setup.train]), features["test"])
    return float((score.argmax(axis=1) == labels[setup.test].argmax(axis=1)).mean())


def images(setup: Setup, rows: Any) -> Any:
    """The first view of each fruit, (B, C, H, W) in 0..1."""
    import torch

    from backend.augment.pipeline import to_float

    return to_float(torch.from_numpy(setup.cache.batch(rows, setup.modality)[:, 0]))


def train_ours(setup: Setup, seed: int) -> tuple[nn.Module, nn.Module]:
    """The encoder before and after training by this project."""
    import copy

    from backend.training.feed import FruitFeed
    from backend.training.pretrain_loop import Pretraining, make_pool

    feed = FruitFeed(setup.dataset, setup.cache, (setup.modality,), "cpu")
    pool = make_pool(setup.config, feed, setup.train, None)
    training = Pretraining(setup.config, feed, pool, seed, setup.config.optim.batch_size)
    before = copy.deepcopy(training.method.encoders[setup.modality])
    training.run(None, None)
    return before, training.method.encoders[setup.modality]


def train_peer(setup: Setup, encoder: nn.Module, seed: int, workers: int) -> nn.Module:
    """The same encoder after training with lightly's transform, head, loss and two forwards."""
    import copy

    import torch
    from lightly.loss import NTXentLoss
    from lightly.models.modules.heads import SimCLRProjectionHead
    from lightly.transforms import SimCLRTransform
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    from backend.training.optim import cosine_schedule, make_optimizer

    class Views(Dataset):  # type: ignore[type-arg]
        def __init__(self) -> None:
            self.pixels = setup.cache.batch(setup.train, setup.modality)[:, 0]
            self.transform = SimCLRTransform(input_size=setup.config.data.resolution, normalize=None)

        def __len__(self) -> int:
            return len(self.pixels)

        def __getitem__(self, index: int) -> Any:
            pixels = self.pixels[index].repeat(4 - self.pixels.shape[-1], axis=-1)[..., :3]
            return self.transform(Image.fromarray(pixels))

    torch.manual_seed(seed)
    optim = setup.config.optim
    encoder = copy.deepcopy(encoder).train()
    model = torch.nn.ModuleDict({"encoders": encoder, "head": SimCLRProjectionHead(256, 256, 128)})
    model.to(memory_format=torch.channels_last)
    loader = DataLoader(Views(), optim.batch_size, shuffle=True, drop_last=True, num_workers=workers)
    optimizer = make_optimizer(
        model.named_parameters(), learning_rate=optim.learning_rate, weight_decay=optim.weight_decay
    )
    schedule = cosine_schedule(optimizer, optim.epochs * len(loader), optim.warmup)
    criterion = NTXentLoss(temperature=0.2)
    channels = setup.cache.channels[setup.modality]
    for _ in range(optim.epochs):
        for views in loader:
            z0, z1 = (model["head"](encoder(view[:, :channels])) for view in views)
            optimizer.zero_grad(set_to_none=True)
            criterion(z0, z1).backward()
            optimizer.step()
            schedule.step()
    return encoder


def main(argv: list[str] | None = None) -> int:
    """Parse, train both, print."""
    parser = argparse.ArgumentParser(prog="benchmarks/parity.py", description=__doc__.split("\n")[0])
    parser.add_argument("dataset", type=Path, help="a data set folder of single-label images")
    parser.add_argument("--cache", type=Path, help="where decoded images go (default: beside the data set)")
    parser.add_argument("--epochs", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--seeds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--size", type=int, default=32, help="side in pixels (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="default: %(default)s")
    parser.add_argument("--fruit", type=int, default=0, help="train on so many (default: all)")
    parser.add_argument(
        "--workers", type=int, default=2, help="of the peer's DataLoader (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    setup = make_setup(options)
    rows = []
    for seed in range(options.seeds):
        before, ours = train_ours(setup, seed)
        peer = train_peer(setup, before, seed, options.workers)
        accuracies = (knn_accuracy(encoder, setup) for encoder in (before, ours, peer))
        rows.append(Row(seed, *accuracies))
        print(rows[-1], file=sys.stderr)
    means = {
        name: statistics.mean(getattr(row, name) for row in rows) for name in ("random_init", "ours", "peer")
    }
    if options.json:
        print_json({"rows": [asdict(row) for row in rows], "mean": means})
        return EXIT_OK
    for name, value in means.items():
        print(f"{name:<12} kNN accuracy {value:.4f} (mean of {len(rows)})")
    print(f"ours - peer  {means['ours'] - means['peer']:+.4f}")
    return EXIT_OK


if __name__ == "__main__":
    raise SystemExit(run_command(main))

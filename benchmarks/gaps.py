"""Why a published figure is missed: the experiments behind the comments in docs/results.md.

    python benchmarks/gaps.py ch-rand  --root RISEHOLME [--case RU] [--narrower 1] [--steps 200] [--rate 1e-4]
    python benchmarks/gaps.py pairwise --root MNIST [--loss cosine_pairs] [--augmentation none] [--start he]
    python benchmarks/gaps.py layers   --root MNIST [--method rotation] [--numbers 1024] [--plain]

Each call trains the network of a published table once, with one thing changed, and prints the scores of that
table; without a change it repeats a cell of ``python -m backend.benchmark riseholme``, ``scenarios`` or
``protocols``.
``ch-rand``: the width of the network, the number of steps, the learning rate. ``pairwise``: the start of the
weights (``torch``: torch's own); beside the table's classifier stands one on features as they are, and the
first scores are of the network before any step. ``layers``: how many numbers of a layer the probe sees (one
training serves several), the epochs, and a network without the shortcuts of its residual blocks, for these
keep a ResNet's representation from getting worse towards its end (Kolesnikov, Zhai and Beyer 2019,
"Revisiting self-supervised visual representation learning").
The collection is imported into ``--out``, once.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from backend.benchmark import networks, protocols, registry, riseholme, scenarios, triplets
from backend.benchmark.bench import Bench
from backend.benchmark.options import Options
from backend.benchmark.pretraining import backbone_of, encode, ssl_config
from backend.benchmark.sources import classes_of, open_source
from backend.cli import EXIT_OK, run_command
from backend.config import RunConfig, derive_seed
from backend.errors import ConfigError
from backend.models.backbones import Backbone, create_backbone, register_backbone
from backend.store.bundle import MetricValue
from backend.store.writer import RunStore
from backend.training.optim import prepare_worker

NARROW = "ch_rand_narrower_{}"
PLAIN = "{}_plain"


@contextmanager
def bench_of(name: str, chosen: argparse.Namespace) -> Iterator[Bench]:
    """A benchmark on its data; experiments leave no results in its store."""
    options = Options(
        chosen.out / "gaps.db", chosen.data, root=chosen.root, device="cpu", threads=chosen.threads
    )
    benchmark = registry.find(name)
    prepare_worker(chosen.threads)
    dataset = open_source(benchmark, options)
    with RunStore(options.store, purpose="experiments") as store:
        yield Bench(benchmark, options, store, dataset, "cpu")


def narrower_network(narrower: int) -> str:
    """The name of CH-Rand's network with every convolution that many times narrower."""
    if narrower == 1:
        return networks.CH_RAND
    name = NARROW.format(narrower)

    @register_backbone(name, "CH-Rand's network, narrower", "Choi et al. 2022")
    def make(in_channels: int, imagenet: bool) -> Backbone:
        return networks.ChRandNetwork(in_channels, narrower)

    return name


def changed(config: RunConfig, chosen: argparse.Namespace, samples: int) -> RunConfig:
    """The benchmark's configuration of CH-Rand with what was asked for."""
    batch = config.optim.batch_size
    epochs = riseholme.epochs_of(chosen.steps, batch, samples)
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, backbone=narrower_network(chosen.narrower)),
        optim=dataclasses.replace(config.optim, epochs=epochs, learning_rate=chosen.rate),
    )


def ch_rand(chosen: argparse.Namespace) -> None:
    """Train CH-Rand once."""
    with bench_of("riseholme", chosen) as bench:
        cases = riseholme.read_cases(bench.dataset, bench.options.split, bench.place)
        case = next(case for case in cases if case.name == chosen.case)
        config = changed(
            riseholme.ch_rand_config(bench, len(case.train), chosen.seed), chosen, len(case.train)
        )
        show(
            f"CH-Rand, {case.name}, {config.optim.epochs} epochs",
            riseholme.measure_ch_rand(bench, case, config).metrics,
        )


def pairwise(chosen: argparse.Namespace) -> None:
    """Train a scenario once."""
    with bench_of("scenarios", chosen) as bench:
        train, test = scenarios.anchors(bench), bench.parts()[1]
        cache = bench.context(28).cache
        pixels, held_out = (cache.batch(rows, cache.modalities[0])[:, 0] for rows in (train, test))
        classes = classes_of(bench.dataset, test)
        trainer = triplets.Trainer(
            pixels, classes_of(bench.dataset, train), chosen.augmentation, "cpu", chosen.seed
        )
        if chosen.start == "torch":
            start_as_torch(trainer.network, chosen.seed)
        for when in ("before training", "after it"):
            network = trainer.network.eval() if when == "before training" else trainer.run(chosen.loss)
            features = triplets.embed(network, held_out, "cpu")
            metrics = scenarios.evaluate(features, classes, chosen.seed)
            plain = MetricValue("accuracy, features as they are", as_they_are(features, classes, chosen.seed))
            spread = MetricValue("standard deviation of the outputs", float(features.std(axis=0).mean()))
            show(when, (*metrics, plain, spread))
            trainer.network.train()


def start_as_torch(network: nn.Module, seed: int) -> None:
    """Draw the convolutions anew as torch does by default."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.reset_parameters()


def as_they_are(features: NDArray[np.float32], classes: NDArray[np.int64], seed: int) -> float:
    """Accuracy of a logistic regression on features that nobody standardised."""
    from sklearn.linear_model import LogisticRegression

    fit, score = scenarios.split(len(features), seed)
    probe = LogisticRegression(max_iter=1000).fit(features[fit], classes[fit])
    return float(probe.score(features[score], classes[score]))


class PlainBlock(nn.Module):
    """A residual block without its shortcut: two convolutions, one after the other.

    Args:
        block: its convolutions are taken over; the second norm starts at one, not zero, lest nothing passes.
    """

    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        nn.init.ones_(block.bn2.weight)
        self.layers = nn.Sequential(block.conv1, block.bn1, nn.ReLU(), block.conv2, block.bn2, nn.ReLU())

    def forward(self, maps: Tensor) -> Tensor:
        """(B, c, h, w) to (B, C, H, W), as the block's."""
        found: Tensor = self.layers(maps)
        return found


def plain_network(name: str) -> str:
    """The name of a small ResNet without shortcuts."""

    @register_backbone(PLAIN.format(name), f"{name} without shortcuts", "own")
    def make(in_channels: int, imagenet: bool) -> Backbone:
        residual = create_backbone(name, in_channels)
        stages: list[nn.Module] = [
            nn.Sequential(*(PlainBlock(block) for block in stage.children())) for stage in residual.stages
        ]
        return Backbone(residual.stem, stages, residual.feature_dim)

    return PLAIN.format(name)


def layers(chosen: argparse.Namespace) -> None:
    """Train a pretext task once and probe its layers."""
    with bench_of("protocols", chosen) as bench:
        sizes = dataclasses.replace(protocols.SIZES, train=chosen.images, epochs=chosen.epochs)
        config = ssl_config(bench, chosen.method, sizes, batch=protocols.BATCH, seed=chosen.seed)
        if chosen.plain:
            network = plain_network(backbone_of(bench))
            config = dataclasses.replace(config, model=dataclasses.replace(config.model, backbone=network))
        made = encode(bench, config, sizes)
        for numbers in chosen.numbers:
            found = [made.encoder.stages(rows, numbers) for rows in (made.train, made.test)]
            metrics = tuple(
                MetricValue(
                    f"layer {number}, {train.shape[1]:,} numbers",
                    protocols.probed(bench, made, train, test, 1.0, config.seed),
                )
                for number, (train, test) in enumerate(zip(*found, strict=True), start=1)
            )
            show(
                f"{config.method.name}, {config.model.backbone}, {sizes.epochs} epochs, seed {config.seed}",
                metrics,
            )


def show(what: str, metrics: tuple[MetricValue, ...]) -> None:
    """One line a metric."""
    print(what)
    for metric in metrics:
        print(f"  {metric.metric:36} {metric.value:.4f}", flush=True)


def _ch_rand_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--case", choices=riseholme.CASES, default="RU")
    command.add_argument("--narrower", type=int, choices=(1, 2, 4, 8), default=1)
    command.add_argument("--steps", type=int, default=riseholme.STEPS)
    command.add_argument("--rate", type=float, default=1e-4)


def _pairwise_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--loss", choices=tuple(triplets.RECIPES), default=triplets.PAIRWISE)
    command.add_argument("--augmentation", choices=scenarios.AUGMENTATIONS, default="none")
    command.add_argument("--start", choices=("he", "torch"), default="he")


def _layers_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", default="mnist")
    command.add_argument("--method", default="rotation")
    command.add_argument("--numbers", type=int, nargs="+", default=[protocols.NUMBERS])
    command.add_argument("--epochs", type=int, default=protocols.SIZES.epochs)
    command.add_argument("--images", type=int, default=protocols.SIZES.train)
    command.add_argument("--plain", action="store_true", help="no shortcuts")


def main(argv: list[str] | None = None) -> int:
    """Run one experiment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, arguments in (
        ("ch-rand", ch_rand, _ch_rand_arguments),
        ("pairwise", pairwise, _pairwise_arguments),
        ("layers", layers, _layers_arguments),
    ):
        command = commands.add_parser(name)
        command.set_defaults(run=run, data="")
        command.add_argument("--root", type=Path, required=True)
        command.add_argument("--out", type=Path, default=Path("runs/gaps"))
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--threads", type=int, default=2)
        arguments(command)
    chosen = parser.parse_args(argv)
    if not chosen.root.is_dir():
        raise ConfigError("no such folder", where=str(chosen.root), action="say where the collection lies")
    chosen.run(chosen)
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(run_command(main))

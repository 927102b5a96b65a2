"""Why a published figure is missed: the experiments behind the comments in docs/results.md.

    python benchmarks/gaps.py ch-rand  --root RISEHOLME [--case RU] [--narrower 1] [--steps 200] [--rate 1e-4]
    python benchmarks/gaps.py pairwise --root MNIST [--loss cosine_pairs] [--augmentation none] [--start he]

Each call trains the network of a published table once, with one thing changed, and prints the scores of that
table; without a change it repeats a cell of ``python -m backend.benchmark riseholme`` or ``scenarios``.
``ch-rand``: the width of the network, the number of steps, the learning rate. ``pairwise``: the start of the
weights (``torch``: torch's own); beside the table's classifier stands one on features as they are, and the
first scores are of the network before any step. The collection is imported into ``--out``, once.
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
from torch import nn

from backend.benchmark import networks, registry, riseholme, scenarios, triplets
from backend.benchmark.bench import Bench
from backend.benchmark.options import Options
from backend.benchmark.sources import classes_of, open_source
from backend.cli import EXIT_OK, run_command
from backend.config import RunConfig, derive_seed
from backend.errors import ConfigError
from backend.models.backbones import Backbone, register_backbone
from backend.store.bundle import MetricValue
from backend.store.writer import RunStore
from backend.training.optim import prepare_worker

NARROW = "ch_rand_narrower_{}"


@contextmanager
def bench_of(name: str, chosen: argparse.Namespace) -> Iterator[Bench]:
    """A benchmark on its data; experiments leave no results in its store."""
    options = Options(chosen.out / "gaps.db", root=chosen.root, device="cpu", threads=chosen.threads)
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


def show(what: str, metrics: tuple[MetricValue, ...]) -> None:
    """One line a metric."""
    print(what)
    for metric in metrics:
        print(f"  {metric.metric:36} {metric.value:.4f}", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run one experiment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run in (("ch-rand", ch_rand), ("pairwise", pairwise)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("--root", type=Path, required=True)
        command.add_argument("--out", type=Path, default=Path("runs/gaps"))
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--threads", type=int, default=2)
        if name == "ch-rand":
            command.add_argument("--case", choices=riseholme.CASES, default="RU")
            command.add_argument("--narrower", type=int, choices=(1, 2, 4, 8), default=1)
            command.add_argument("--steps", type=int, default=riseholme.STEPS)
            command.add_argument("--rate", type=float, default=1e-4)
        else:
            command.add_argument("--loss", choices=tuple(triplets.RECIPES), default=triplets.PAIRWISE)
            command.add_argument("--augmentation", choices=scenarios.AUGMENTATIONS, default="none")
            command.add_argument("--start", choices=("he", "torch"), default="he")
    chosen = parser.parse_args(argv)
    if not chosen.root.is_dir():
        raise ConfigError("no such folder", where=str(chosen.root), action="say where the collection lies")
    chosen.run(chosen)
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(run_command(main))

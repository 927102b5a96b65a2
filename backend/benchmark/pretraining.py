"""Self-supervised encoders for the protocols: settings that suit the data, weights, features of rows.

Everything here is the same for every method of a table: images, network, augmentation, steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.benchmark.bench import Bench
from backend.benchmark.encoding import FrozenEncoder, first_sensor
from backend.benchmark.sources import Rows, draw
from backend.config import AugmentConfig, DataConfig, ModelConfig, RunConfig
from backend.data.dataset import MULTICLASS
from backend.errors import DataError
from backend.evaluation.features import Part
from backend.methods.registry import default_augment, default_method_config, default_optim, method_info
from backend.store.bundle import CurvePoint
from backend.training.pretrain import pretrain
from backend.training.pretrain_loop import PretrainResult

SMALL_IMAGES = ("MNIST", "Fashion-MNIST", "CIFAR-10")
"""Data sets whose pictures are no larger than 32 px."""


@dataclass(frozen=True)
class Sizes:
    """How much of the data a protocol uses, and how long it trains.

    Attributes:
        train: training fruit, pretraining pool and gallery in one.
        test: held-out fruit.
        epochs: of pretraining.
    """

    train: int = 10_000
    test: int = 2_000
    epochs: int = 10

    def quick(self) -> Sizes:
        """For a smoke test."""
        return Sizes(min(self.train, 160), min(self.test, 80), 1)


@dataclass(frozen=True)
class Encoded:
    """A pretrained (or reference) encoder with the rows it was made from.

    Attributes:
        encoder: frozen.
        train: rows it was pretrained on.
        test: held-out rows.
        curves: of the pretraining.
        notes: of the pretraining.
    """

    encoder: FrozenEncoder
    train: Rows
    test: Rows
    curves: tuple[CurvePoint, ...]
    notes: tuple[tuple[str, str], ...]


def side_of(bench: Bench) -> int:
    """Working resolution in pixels."""
    return 32 if bench.dataset.name in SMALL_IMAGES else 48


def augment_of(bench: Bench, method: str) -> AugmentConfig:
    """Digits and clothes have an up: crops and turns. Photographs of things: SimCLR's. Fruit: their own."""
    if bench.dataset.name not in SMALL_IMAGES:
        return default_augment(method)
    if "rgb" in bench.dataset.modalities:
        return AugmentConfig("simclr", 0.7)
    return AugmentConfig("custom", 0.5, ("random_resized_crop", "rotation"))


def backbone_of(bench: Bench) -> str:
    """A network that the device can train in minutes."""
    return "resnet10_half" if bench.device == "cpu" else "resnet18_small"


def ssl_config(bench: Bench, method: str, sizes: Sizes, *, batch: int, seed: int) -> RunConfig:
    """The configuration of a method; references have no training and may need a network of their own."""
    info = method_info(method)
    imagenet = method == "imagenet"
    backbone = "resnet18" if imagenet else backbone_of(bench)
    side = side_of(bench)
    return RunConfig(
        kind="pretrain" if info.pretrains else "probe",
        method=default_method_config(method),
        model=ModelConfig(
            backbone=backbone,
            modalities=(first_sensor(bench.context(side)),),
            init="imagenet" if imagenet else "random",
        ),
        augment=augment_of(bench, method) if info.pretrains else AugmentConfig("none"),
        optim=default_optim(method, epochs=sizes.epochs, batch_size=batch),
        data=DataConfig(resolution=side),
        seed=seed,
    )


def encode(bench: Bench, config: RunConfig, sizes: Sizes) -> Encoded:
    """Pretrain without labels on the drawn training rows, or take a reference as it is.

    Raises:
        DataError: a data set of several defects a fruit, which these protocols cannot score.
        ConfigError: a method that cannot work on these images, or weights that cannot be had.
    """
    if bench.dataset.task != MULTICLASS:
        raise DataError(
            f"task {bench.dataset.task}",
            where=bench.dataset.name,
            expected="a data set with one class a fruit",
            action="choose other --data",
        )
    train, test = (
        draw(bench.dataset, rows, count, config.seed)
        for rows, count in zip(bench.parts(), (sizes.train, sizes.test), strict=True)
    )
    context = bench.context(config.data.resolution)
    result = PretrainResult(b"", (), ())
    if method_info(config.method.name).pretrains:
        result = pretrain(config, bench.dataset, context.cache, train, seed=config.seed, device=bench.device)
    encoder = FrozenEncoder(config, context, train, result.weights or None)
    return Encoded(encoder, train, test, result.curves, result.notes)


def part_of(bench: Bench, rows: Rows, features: NDArray[np.float32]) -> Part:
    """Features with the labels of their rows."""
    return Part(features, bench.dataset.labels[rows])


def sized(bench: Bench, sizes: Sizes) -> Sizes:
    """The sizes of this run."""
    return sizes.quick() if bench.quick else sizes

"""A worker's context on tiny fruit, and a network that learns them in no time."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from torch import nn

from backend.config import AugmentConfig, DataConfig, ModelConfig, OptimConfig, RunConfig
from backend.data.cache import open_cache
from backend.data.manifest import read_dataset
from backend.data.splits import outer_folds
from backend.models import backbones
from backend.models.backbones import Backbone, BackboneInfo
from backend.training.task import WorkerContext


def build_tiny(in_channels: int, imagenet: bool) -> Backbone:
    """Two small stages behind a stem: a fraction of the work of the smallest real backbone."""

    def stage(inputs: int, outputs: int) -> nn.Sequential:
        convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))

    return Backbone(stage(in_channels, 16), [stage(16, 32), stage(32, 64)], 64)


@pytest.fixture(scope="module")
def tiny_backbone() -> Iterator[str]:
    """Name of a backbone that only this process knows: for what asks what is stored, not what is learned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            backbones._REGISTRY, "tiny", BackboneInfo("tiny", "for tests", "own", build_tiny, bfloat16=True)
        )
        yield "tiny"


def make_context(folder: Path, cache_dir: Path, folds: int = 2) -> WorkerContext:
    dataset = read_dataset(folder, cache_dir=cache_dir)
    cache = open_cache(dataset, 16, cache_dir, progress=False)
    fold_of = outer_folds(dataset.labels, dataset.groups, folds, 0, fixed_split=dataset.fixed_split)
    return WorkerContext(dataset, cache, fold_of, "cpu")


@pytest.fixture(scope="session")
def multilabel_context(multilabel_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> WorkerContext:
    return make_context(multilabel_folder, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def multiclass_context(multiclass_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> WorkerContext:
    return make_context(multiclass_folder, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def small_run() -> Callable[..., RunConfig]:
    """A run that takes a second: ``small_run(modalities=..., epochs=..., **fields of RunConfig)``."""

    def build(
        modalities: tuple[str, ...] = ("rgb", "nir", "pressure"), epochs: int = 4, **fields: object
    ) -> RunConfig:
        values = {
            "model": ModelConfig(modalities=modalities, view_pooling="max"),
            "augment": AugmentConfig(policy="custom", operations=("horizontal_flip",)),
            "optim": OptimConfig(epochs=epochs, batch_size=8, learning_rate=3e-3, imbalance="none"),
            "data": DataConfig(resolution=16, folds=2),
            **fields,
        }
        return RunConfig(**values)  # type: ignore[arg-type]

    return build

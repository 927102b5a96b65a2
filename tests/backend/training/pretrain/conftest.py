"""Fruit and a backbone so small that every method pretrains on them in a second."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from backend.config import DataConfig, MethodConfig, ModelConfig, RunConfig
from backend.data.cache_layout import CacheLayout, ModalityLayout
from backend.data.cache_memory import MemoryCache
from backend.data.dataset import Defect, FruitDataset
from backend.methods.registry import default_augment, default_optim, method_info
from backend.training.checkpoint import unpack_weights
from backend.training.pretrain import pretrain
from backend.training.pretrain_loop import PretrainResult

SIDE = 32
FRUIT = 32
VIEWS = 2


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A data set whose images are in memory."""

    dataset: FruitDataset
    cache: MemoryCache

    def repainted(self, change: Callable[[np.ndarray], np.ndarray]) -> Drawn:
        """The same fruit with other pixels: ``change`` gets and gives (N, V, H, W, C)."""
        cache = self.cache
        pixels = {name: change(cache.batch(range(FRUIT), name).copy()) for name in cache.modalities}
        return Drawn(self.dataset, MemoryCache(cache.layout, pixels, cache.present))


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished pretraining."""

    config: RunConfig
    result: PretrainResult

    def curve(self, metric: str) -> list[float]:
        return [point.value for point in self.result.curves if point.metric == metric]

    def weight(self, name: str) -> torch.Tensor:
        return unpack_weights(self.result.weights)[name]


@functools.cache
def _draw(**channels: int) -> Drawn:
    """Fruit of two classes: light from above left, a pattern of the fruit's own, a tint of its class."""
    generator = torch.Generator().manual_seed(0)
    classes = np.arange(FRUIT) % 2
    ramp = torch.linspace(0, 1, 4)
    light = 0.3 * ramp.view(4, 1) + 0.15 * ramp.view(1, 4)
    pixels = {}
    for name, count in channels.items():
        pattern = torch.rand(FRUIT, 1, count, 4, 4, generator=generator)
        angle = torch.rand(FRUIT, VIEWS, count, 4, 4, generator=generator)
        tint = torch.from_numpy(classes).float().view(-1, 1, 1, 1, 1) * torch.linspace(0.2, 0, count).view(
            -1, 1, 1
        )
        coarse = (light + 0.25 * pattern + 0.1 * angle + tint).flatten(0, 1)
        image = F.interpolate(coarse, (SIDE, SIDE), mode="bicubic").clamp(0, 1).mul(255).byte()
        pixels[name] = image.permute(0, 2, 3, 1).unflatten(0, (FRUIT, VIEWS)).contiguous().numpy()
    ids = tuple(f"f{number}" for number in range(FRUIT))
    dataset = FruitDataset(
        root=Path(),
        name="tiny",
        task="multiclass",
        healthy="a-quality",
        synthetic=True,
        description="",
        licence="",
        source="",
        defects=(Defect("a-quality"), Defect("bruise")),
        fruit_ids=ids,
        groups=ids,
        fixed_split=None,
        labels=np.eye(2, dtype=np.float32)[classes],
        pressure_names=(),
        pressures=np.zeros((FRUIT, 0), dtype=np.float32),
        modalities=dict.fromkeys(channels, tuple(str(view + 1) for view in range(VIEWS))),
        paths={},
        dataset_id="0123456789abcdef",
        label_version="0",
    )
    layout = CacheLayout(
        SIDE, FRUIT, {name: ModalityLayout(VIEWS, count, bits=8) for name, count in channels.items()}
    )
    present = {name: np.ones((FRUIT, VIEWS), dtype=bool) for name in channels}
    return Drawn(dataset, MemoryCache(layout, pixels, present))


def _small(name: str, positives: str | None = None, **params: Any) -> MethodConfig:
    info = method_info(name)
    small = {"hidden_dim": 64, "output_dim": 64, "permutations": 4}
    chosen = {key: value for key, value in (small | params).items() if key in info.defaults}
    return MethodConfig(name, positives or info.default_positives, tuple(chosen.items()))


def _configuration(
    method: MethodConfig, modalities: tuple[str, ...], epochs: int = 6, strength: float = 0.5, **model: Any
) -> RunConfig:
    optim = default_optim(method.name, epochs=epochs, batch_size=16)
    return RunConfig(
        kind="pretrain",
        method=method,
        model=ModelConfig(backbone="tiny", modalities=modalities, **model),
        augment=default_augment(method.name, strength=strength),
        optim=dataclasses.replace(optim, warmup=0.0),
        data=DataConfig(resolution=SIDE),
    )


@pytest.fixture(autouse=True)
def _quick(tiny_backbone: str) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def drawn() -> Callable[..., Drawn]:
    """``drawn(nir=1, rgb=3)``: fruit with these sensors and numbers of channels."""
    return _draw


@pytest.fixture
def nir() -> Drawn:
    """Fruit seen by one sensor of one channel."""
    return _draw(nir=1)


@pytest.fixture
def small_method() -> Callable[..., MethodConfig]:
    """``small_method(name, positives, **params)``: narrow heads, a puzzle that tiny data can teach."""
    return _small


@pytest.fixture
def configuration() -> Callable[..., RunConfig]:
    """A quick run of a method with the optimisation and augmentation it asks for."""
    return _configuration


@pytest.fixture
def train() -> Callable[..., Trained]:
    """``train(method, drawn, epochs=…, strength=…, model={…}, **options of pretrain)``."""

    def run(
        method: str | MethodConfig, data: Drawn, *, model: dict[str, Any] | None = None, **options: Any
    ) -> Trained:
        method = _small(method) if isinstance(method, str) else method
        quick = {key: options.pop(key) for key in ("epochs", "strength") if key in options}
        config = _configuration(method, tuple(data.dataset.modalities), **quick, **(model or {}))
        rest = {"labels": data.dataset.labels, "seed": 3, "fruit": np.arange(FRUIT)} | options
        return Trained(config, pretrain(config, data.dataset, data.cache, rest.pop("fruit"), **rest))

    return run

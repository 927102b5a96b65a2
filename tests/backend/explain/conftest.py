"""Networks and fruit that need no data set."""

from collections.abc import Callable

import pytest
import torch

from backend.config import ModelConfig
from backend.models.batch import FruitBatch
from backend.models.network import FruitNetwork, NetworkSpec


@pytest.fixture
def make_network() -> Callable[..., FruitNetwork]:
    """A network with random weights: ``make_network(modalities, views=..., **fields of ModelConfig)``."""

    def build(modalities: tuple[str, ...] = ("rgb",), views: int = 1, **fields: object) -> FruitNetwork:
        channels = {"rgb": 3, "nir": 1}
        spec = NetworkSpec(channels, dict.fromkeys(channels, views), 2, 4)
        torch.manual_seed(3)
        config = ModelConfig(modalities=modalities, **fields)  # type: ignore[arg-type]
        model = FruitNetwork(config, spec).eval()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                # As after training; zero-initialised branches would make every block the identity.
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.normal_(module.bias, std=0.1)
        return model

    return build


@pytest.fixture
def make_batch() -> Callable[..., FruitBatch]:
    """Random fruit: ``make_batch(fruit, views, side)``, all of it present."""

    def build(fruit: int = 5, views: int = 1, side: int = 64) -> FruitBatch:
        generator = torch.Generator().manual_seed(fruit)
        channels = {"rgb": 3, "nir": 1}
        return FruitBatch(
            images={
                name: torch.rand(fruit, views, count, side, side, generator=generator)
                for name, count in channels.items()
            },
            present={name: torch.ones(fruit, views, dtype=torch.bool) for name in channels},
            pressure=torch.rand(fruit, 2, generator=generator),
            pressure_present=torch.ones(fruit, 2, dtype=torch.bool),
            labels=torch.zeros(fruit, 4),
            index=torch.arange(fruit),
        )

    return build

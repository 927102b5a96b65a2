"""A pretraining that cannot work, or stops to work, says so in words."""

import numpy as np
import pytest

from backend.config import MethodConfig
from backend.errors import ConfigError
from backend.methods.simclr import SimCLR
from backend.training.pretrain import pretrain
from backend.training.task import TrainingStoppedError


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (MethodConfig("simclr", params=(("temprature", 1.0),)), {}, "unknown hyper-parameter 'temprature'"),
        (MethodConfig("simclr", params=(("temperature", "hot"),)), {}, "expected a value of type float"),
        (MethodConfig("triplet", params=(("mining", "soft"),)), {}, "unknown mining 'soft'"),
        (MethodConfig("jigsaw", params=(("permutations", 100),)), {}, "expected 2 to 72"),
        (MethodConfig("simclr", "class"), {}, "positives 'class'"),
        (MethodConfig("rotation", "views"), {}, "positives 'views'"),
        (MethodConfig("simclr", "modalities"), {}, "1 image sensor"),
        (MethodConfig("supcon", "class"), {"labels": None}, "no labels"),
        (MethodConfig("imagenet"), {}, "nothing to pretrain"),
        (MethodConfig("simklr"), {}, "unknown method 'simklr'; expected one of barlow_twins, byol"),
        (MethodConfig("simclr"), {"fruit": np.array([], dtype=np.int64)}, "0 images with all of nir"),
    ],
)
def test_errors_say_what_to_do(train, nir, method, options, message):
    with pytest.raises(ConfigError, match=message):
        train(method, nir, **options)


def test_pressure_alone_cannot_be_pretrained(nir, configuration, small_method):
    config = configuration(small_method("simclr"), ("pressure",))
    with pytest.raises(ConfigError, match="no image sensor"):
        pretrain(config, nir.dataset, nir.cache, np.arange(4), seed=0)


def test_collapse_stops_with_the_reason(train, nir):
    flat = nir.repainted(lambda pixels: np.full_like(pixels, 99))
    with pytest.raises(
        TrainingStoppedError, match=r"encoder nir: collapsed in epoch 1: .* nearly alike"
    ) as failed:
        train("simclr", flat, strength=0)
    assert next(point.value for point in failed.value.curves if point.metric == "embedding_std") < 0.05


def test_divergence_stops_with_the_reason(train, nir, monkeypatch):
    monkeypatch.setattr(SimCLR, "pair_loss", lambda self, a, b, batch: a.projection.sum() * float("nan"))
    with pytest.raises(TrainingStoppedError, match="the loss became nan in epoch 1"):
        train("simclr", nir)

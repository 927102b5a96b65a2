"""Pretraining end to end on tiny data: every method learns, resumes bit by bit and leaves usable weights."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from backend.config import DataConfig, MethodConfig, ModelConfig, RunConfig
from backend.data.dataset import Defect, FruitDataset
from backend.errors import ConfigError
from backend.methods.registry import default_augment, default_optim, list_methods, method_info
from backend.methods.simclr import SimCLR
from backend.models import backbones
from backend.models.backbones import Backbone, BackboneInfo
from backend.models.network import FruitNetwork, NetworkSpec
from backend.training.checkpoint import load_encoders, unpack_weights
from backend.training.pretrain import pretrain
from backend.training.probing import probe_fold
from backend.training.task import FoldTask, TrainingStoppedError, WorkerContext

SIDE = 32
FRUIT = 32
EPOCHS = 6
LONGER = {"dino": 16, "jigsaw": 16}
"""Epochs of methods that need more of them before the loss shows what they learned."""
PRETRAINED = [info.name for info in list_methods() if info.pretrains]


class MemoryCache:
    """An ``ImageCache`` of images that a test drew."""

    def __init__(self, pixels):
        self.pixels = pixels
        self.present = {name: np.ones(value.shape[:2], dtype=bool) for name, value in pixels.items()}
        self.channels = {name: value.shape[-1] for name, value in pixels.items()}
        self.nbytes = sum(value.nbytes for value in pixels.values())

    def batch(self, indices, modality):
        return self.pixels[modality][indices]

    def channel_statistics(self, indices):
        scaled = {name: value[indices] / np.float32(255) for name, value in self.pixels.items()}
        return {name: (x.mean(axis=(0, 1, 2, 3)), x.std(axis=(0, 1, 2, 3))) for name, x in scaled.items()}


def draw_fruit(channels, views=2, seed=0):
    """Fruit of two classes: light from above left, a pattern of the fruit's own, a tint of its class."""
    generator = torch.Generator().manual_seed(seed)
    classes = np.arange(FRUIT) % 2
    ramp = torch.linspace(0, 1, 4)
    light = 0.3 * ramp.view(4, 1) + 0.15 * ramp.view(1, 4)
    pixels = {}
    for name, count in channels.items():
        pattern = torch.rand(FRUIT, 1, count, 4, 4, generator=generator)
        angle = torch.rand(FRUIT, views, count, 4, 4, generator=generator)
        tint = torch.from_numpy(classes).float().view(-1, 1, 1, 1, 1) * torch.linspace(0.2, 0, count).view(
            -1, 1, 1
        )
        coarse = (light + 0.25 * pattern + 0.1 * angle + tint).flatten(0, 1)
        image = F.interpolate(coarse, (SIDE, SIDE), mode="bicubic").clamp(0, 1).mul(255).byte()
        pixels[name] = image.permute(0, 2, 3, 1).unflatten(0, (FRUIT, views)).contiguous().numpy()
    names = tuple(str(number + 1) for number in range(views))
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
        fruit_ids=tuple(f"f{number}" for number in range(FRUIT)),
        groups=tuple(f"f{number}" for number in range(FRUIT)),
        fixed_split=None,
        labels=np.eye(2, dtype=np.float32)[classes],
        pressure_names=(),
        pressures=np.zeros((FRUIT, 0), dtype=np.float32),
        modalities=dict.fromkeys(channels, names),
        paths={},
        dataset_id="0123456789abcdef",
        label_version="0",
    )
    return dataset, MemoryCache(pixels)


THREE = draw_fruit({"rgb": 3, "nir": 1, "depth": 1})
ONE = draw_fruit({"nir": 1})


def tiny_backbone(in_channels, imagenet):
    """Three small stages: a fraction of the work of the smallest real backbone."""

    def stage(inputs, outputs):
        convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))

    return Backbone(stage(in_channels, 16), [stage(16, 32), stage(32, 64)], 64)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    info = BackboneInfo("tiny", "for tests", "own", tiny_backbone)
    monkeypatch.setitem(backbones._REGISTRY, "tiny", info)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def method_config(name, positives=None, **params):
    """A method with narrow heads and a puzzle that tiny data can teach."""
    info = method_info(name)
    small = {"hidden_dim": 64, "output_dim": 64, "permutations": 4}
    chosen = {key: value for key, value in (small | params).items() if key in info.defaults}
    return MethodConfig(name, positives or info.default_positives, tuple(chosen.items()))


def configuration(method, modalities, *, epochs=EPOCHS, strength=0.5, **model):
    """A quick run of a method with the optimisation and augmentation it asks for."""
    optim = default_optim(method.name, epochs=epochs, batch_size=16)
    return RunConfig(
        kind="pretrain",
        method=method,
        model=ModelConfig(backbone="tiny", modalities=modalities, **model),
        augment=default_augment(method.name, strength=strength),
        optim=dataclasses.replace(optim, warmup=0.0),
        data=DataConfig(resolution=SIDE),
    )


def train(method, data, *, fruit=None, seed=3, epochs=EPOCHS, strength=0.5, model=None, **options):
    """Pretrain on ``data`` = (dataset, cache); returns the configuration and the result."""
    dataset, cache = data
    method = method if isinstance(method, MethodConfig) else method_config(method)
    model = model or {}
    config = configuration(method, tuple(dataset.modalities), epochs=epochs, strength=strength, **model)
    options.setdefault("labels", dataset.labels)
    fruit = np.arange(FRUIT) if fruit is None else fruit
    return config, pretrain(config, dataset, cache, fruit, seed=seed, **options)


def curve(result, metric):
    return [point.value for point in result.curves if point.metric == metric]


@pytest.mark.parametrize("method", PRETRAINED)
@pytest.mark.parametrize("data", [THREE, ONE], ids=["rgb+nir+depth", "nir"])
def test_contract(method, data):
    """Loss falls, embeddings stay apart, weights reload bit by bit into a classifier, and are evaluated."""
    dataset, cache = data
    needed = method_info(method).min_channels
    if data is ONE and needed > 1:
        with pytest.raises(ConfigError, match=rf"only nir \(1\); expected a sensor with {needed} or more"):
            train(method, data)
        return
    epochs = LONGER.get(method, EPOCHS)
    config, result = train(method, data, epochs=epochs)
    loss = curve(result, "loss")
    assert len(loss) == epochs
    # Queue and teacher start empty-headed, and are easy to match until they have learned something.
    assert loss[-1] < (max(loss) if method in ("moco", "dino") else loss[0])
    assert curve(result, "embedding_std")[-1] > 0.2
    assert curve(result, "effective_rank")[-1] > 4
    spec = NetworkSpec(cache.channels, dict.fromkeys(cache.channels, 2), readings=0, outputs=2)
    network = FruitNetwork(config.model, spec)
    load_encoders(network, result.weights)
    own = network.state_dict()
    for name, value in unpack_weights(result.weights).items():
        assert torch.equal(own[name], value), name
    probe = dataclasses.replace(config, kind="probe", data=DataConfig(resolution=SIDE, label_fraction=0.8))
    context = WorkerContext(dataset, cache, np.arange(FRUIT) // 2 % 2, "cpu")
    bundle = probe_fold(FoldTask("probe", probe, 0, 0, weights=result.weights), context)
    found = {metric.metric: metric.value for metric in bundle.metrics if metric.defect is None}
    for protocol in (
        "mcc",
        "probe_accuracy",
        "knn_accuracy",
        "retrieval_map",
        "oneclass_auroc",
        "clustering_ari",
    ):
        assert np.isfinite(found[protocol]), protocol
    assert len(bundle.predictions.fruit_ids) == FRUIT // 2


@pytest.mark.parametrize("method", ["simclr", "moco", "dino", "triplet", "colourisation"])
def test_resumes_bit_by_bit(method, tmp_path):
    """A training that was killed after two of three epochs ends like one that was not."""
    data = ONE if method != "colourisation" else draw_fruit({"rgb": 3})
    if method == "triplet":
        method = method_config("triplet", mining="random")

    class KilledError(Exception):
        pass

    def kill(report):
        if report.epoch == 2:
            raise KilledError

    _, whole = train(method, data, epochs=3)
    file = tmp_path / "state.safetensors"
    with pytest.raises(KilledError):
        train(method, data, epochs=3, checkpoint=file, on_epoch=kill)
    seen = []
    _, resumed = train(method, data, epochs=3, checkpoint=file, on_epoch=lambda r: seen.append(r.epoch))
    assert seen == [3]
    assert resumed.weights == whole.weights
    assert resumed.curves == whole.curves


def test_a_checkpoint_of_another_training_is_not_used(tmp_path):
    file = tmp_path / "state.safetensors"
    train("simclr", ONE, epochs=1, checkpoint=file)
    _, other = train("simclr", ONE, epochs=1, seed=4, checkpoint=file)
    _, fresh = train("simclr", ONE, epochs=1, seed=4)
    assert other.weights == fresh.weights


def test_a_torn_checkpoint_is_not_used(tmp_path):
    file = tmp_path / "state.safetensors"
    train("rotation", ONE, epochs=1, checkpoint=file)
    file.write_bytes(file.read_bytes()[:-100])
    _, torn = train("rotation", ONE, epochs=1, checkpoint=file)
    _, fresh = train("rotation", ONE, epochs=1)
    assert torn.weights == fresh.weights


def test_the_seed_decides_everything():
    _, first = train("byol", ONE, epochs=1)
    torch.manual_seed(99)
    _, again = train("byol", ONE, epochs=1)
    _, other = train("byol", ONE, epochs=1, seed=4)
    assert first.weights == again.weights
    assert first.weights != other.weights


@pytest.mark.parametrize("positives", ["augment", "views", "modalities", "fruit"])
@pytest.mark.parametrize("method", ["simclr", "moco", "byol"])
def test_every_kind_of_positive_trains(method, positives):
    _, result = train(method_config(method, positives), draw_fruit({"rgb": 3, "nir": 1}), epochs=1)
    assert np.isfinite(curve(result, "loss")[0])


def test_modalities_learn_to_agree():
    """Positives across sensors bring the two encoders' projections of one image together."""
    _, result = train(method_config("simclr", "modalities"), draw_fruit({"rgb": 3, "nir": 1}), epochs=8)
    similarity = curve(result, "positive_similarity")
    assert similarity[-1] > similarity[0] + 0.1


def test_early_fusion_has_one_encoder():
    for method in ("simclr", "colourisation", "channel_randomisation"):
        _, result = train(method, THREE, epochs=1, model={"fusion": "early"})
        names = {name.split(".")[1] for name in unpack_weights(result.weights)}
        assert names == {"early"}
        assert unpack_weights(result.weights)["encoders.early.normalise.mean"].shape == (5,)


def test_normalises_by_the_pool():
    _, result = train("simclr", ONE, epochs=1)
    mean = unpack_weights(result.weights)["encoders.nir.normalise.mean"]
    assert mean.item() == pytest.approx(ONE[1].pixels["nir"].mean() / 255, abs=1e-4)


def test_collapse_stops_with_the_reason():
    flat = MemoryCache({"nir": np.full((FRUIT, 2, SIDE, SIDE, 1), 99, dtype=np.uint8)})
    with pytest.raises(
        TrainingStoppedError, match=r"encoder nir: collapsed in epoch 1: .* nearly alike"
    ) as failed:
        train("simclr", (ONE[0], flat), strength=0)
    assert curve(failed.value, "embedding_std")[0] < 0.05


def test_divergence_stops_with_the_reason(monkeypatch):
    monkeypatch.setattr(SimCLR, "pair_loss", lambda self, a, b, batch: a.projection.sum() * float("nan"))
    with pytest.raises(TrainingStoppedError, match="the loss became nan in epoch 1"):
        train("simclr", ONE)


def test_label_free_methods_never_see_labels():
    shuffled = np.random.default_rng(0).permutation(ONE[0].labels)
    for method in ("simclr", "rotation"):
        _, one = train(method, ONE, epochs=1)
        _, two = train(method, ONE, epochs=1, labels=shuffled)
        assert one.weights == two.weights


def test_metric_methods_use_the_labels_they_are_given():
    _, with_labels = train("drlim", ONE, epochs=1)
    _, without = train("drlim", ONE, epochs=1, labels=None)
    assert with_labels.weights != without.weights


def test_only_the_given_fruit_are_seen():
    """Pixels of fruit outside the pool may change without changing a bit of the result."""
    fruit = np.arange(0, FRUIT, 2)
    dataset, cache = ONE
    changed = cache.pixels["nir"].copy()
    changed[1::2] = 0
    for method in ("moco", "supcon"):
        _, one = train(method, ONE, fruit=fruit, epochs=1)
        _, two = train(method, (dataset, MemoryCache({"nir": changed})), fruit=fruit, epochs=1)
        assert one.weights == two.weights


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
def test_errors_say_what_to_do(method, options, message):
    with pytest.raises(ConfigError, match=message):
        train(method, ONE, **options)


def test_pressure_alone_cannot_be_pretrained():
    config = configuration(method_config("simclr"), ("pressure",))
    with pytest.raises(ConfigError, match="no image sensor"):
        pretrain(config, *ONE, np.arange(FRUIT), seed=0)


def test_notes_name_an_encoder_that_was_left_out():
    _, result = train("channel_randomisation", THREE, epochs=1)
    assert ("method", "channel_randomisation left encoder nir untrained: 1 channel") in result.notes


def test_a_batch_larger_than_the_pool_takes_the_pool():
    _, result = train("byol", ONE, fruit=np.arange(3), epochs=2)
    notes = dict(result.notes)
    assert notes["samples"] == notes["batch_size"] == "6"
    assert notes["steps"] == "2"

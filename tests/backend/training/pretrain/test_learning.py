"""Pretraining end to end on tiny data: every method learns and leaves usable weights."""

import dataclasses

import numpy as np
import pytest
import torch

from backend.config import DataConfig
from backend.errors import ConfigError
from backend.methods.registry import list_methods, method_info
from backend.models.backbones import Backbone
from backend.models.network import FruitNetwork, NetworkSpec
from backend.training import optim
from backend.training.checkpoint import load_encoders, unpack_weights
from backend.training.probing import probe_fold
from backend.training.task import FoldTask, WorkerContext

SENSORS = {"rgb+early+type": {"rgb": 3, "early": 1, "type": 1}, "nir": {"nir": 1}}
"""Two of them have names that torch or this program use for something else."""
LONGER = {"dino": 16, "jigsaw": 16}
"""Epochs of methods that need more of them before the loss shows what they learned."""
PROTOCOLS = ("mcc", "probe_accuracy", "knn_accuracy", "retrieval_map", "oneclass_auroc", "clustering_ari")


@pytest.mark.parametrize("method", [info.name for info in list_methods() if info.pretrains])
@pytest.mark.parametrize("sensors", SENSORS)
def test_contract(train, drawn, method, sensors):
    """Loss falls, embeddings stay apart, weights reload bit by bit into a classifier, and are evaluated."""
    data = drawn(**SENSORS[sensors])
    needed = method_info(method).min_channels
    if sensors == "nir" and needed > 1:
        with pytest.raises(ConfigError, match=rf"only nir \(1\); expected a sensor with {needed} or more"):
            train(method, data)
        return
    epochs = LONGER.get(method, 6)
    trained = train(method, data, epochs=epochs)
    loss = trained.curve("loss")
    assert len(loss) == epochs
    # Queue and teacher start empty-headed, and are easy to match until they have learned something.
    assert loss[-1] < (max(loss) if method in ("moco", "dino") else loss[0])
    assert trained.curve("embedding_std")[-1] > 0.2
    assert trained.curve("effective_rank")[-1] > 4
    channels = data.cache.channels
    spec = NetworkSpec(channels, dict.fromkeys(channels, 2), readings=0, outputs=2)
    network = FruitNetwork(trained.config.model, spec)
    load_encoders(network, trained.result.weights)
    own = network.state_dict()
    for name, value in unpack_weights(trained.result.weights).items():
        assert torch.equal(own[name], value), name
    fruit = len(data.cache)
    config = dataclasses.replace(
        trained.config, kind="probe", data=DataConfig(resolution=data.cache.resolution, label_fraction=0.8)
    )
    context = WorkerContext(data.dataset, data.cache, np.arange(fruit) // 2 % 2, "cpu")
    bundle = probe_fold(FoldTask("probe", config, 0, 0, weights=trained.result.weights), context)
    found = {metric.metric: metric.value for metric in bundle.metrics if metric.defect is None}
    for protocol in PROTOCOLS:
        assert np.isfinite(found[protocol]), protocol
    assert len(bundle.predictions.fruit_ids) == fruit // 2


@pytest.mark.parametrize("method", [info.name for info in list_methods() if info.pretrains])
def test_what_encoders_see_is_never_rounded(train, drawn, method, monkeypatch):
    """Where encoders multiply in bfloat16, what is done to images before them does not."""
    feature_maps, seen = Backbone.feature_maps, {}
    for capable in (True, False):
        monkeypatch.setattr(optim, "_multiplies_bfloat16", lambda there=capable: there)
        images = seen[capable] = []

        def record(self, batch, into=images):
            into.append(batch.clone())
            return feature_maps(self, batch)

        monkeypatch.setattr(Backbone, "feature_maps", record)
        train(method, drawn(rgb=3), epochs=1)  # with another sensor, colours are not what is predicted
    assert len(seen[True]) == len(seen[False]) > 0
    for rounded, exact in zip(seen[True], seen[False], strict=True):
        assert torch.equal(rounded, exact)


@pytest.mark.parametrize("positives", ["augment", "views", "modalities", "fruit"])
@pytest.mark.parametrize("method", ["simclr", "moco", "byol"])
def test_every_kind_of_positive_trains(train, drawn, small_method, method, positives):
    trained = train(small_method(method, positives), drawn(rgb=3, nir=1), epochs=1)
    assert np.isfinite(trained.curve("loss")[0])


def test_modalities_learn_to_agree(train, drawn, small_method):
    """Positives across sensors bring the two encoders' projections of one image together."""
    trained = train(small_method("simclr", "modalities"), drawn(rgb=3, nir=1), epochs=8)
    similarity = trained.curve("positive_similarity")
    assert similarity[-1] > similarity[0] + 0.1


@pytest.mark.parametrize("method", ["simclr", "colourisation", "channel_randomisation"])
def test_early_fusion_has_one_encoder(train, drawn, method):
    trained = train(method, drawn(rgb=3, nir=1, depth=1), epochs=1, model={"fusion": "early"})
    names = {name.split(".")[1] for name in unpack_weights(trained.result.weights)}
    assert names == {"early"}
    assert trained.weight("encoders.early.normalise.mean").shape == (5,)


def test_normalises_by_the_pool(train, nir):
    mean = train("simclr", nir, epochs=1).weight("encoders.nir.normalise.mean")
    everything = nir.cache.batch(range(len(nir.cache)), "nir")
    assert mean.item() == pytest.approx(everything.mean() / 255, abs=1e-4)


def test_notes_name_an_encoder_that_was_left_out(train, drawn):
    trained = train("channel_randomisation", drawn(rgb=3, nir=1, depth=1), epochs=1)
    assert ("method", "channel_randomisation left encoder nir untrained: 1 channel") in trained.result.notes


def test_a_batch_larger_than_the_pool_takes_the_pool(train, nir):
    notes = dict(train("byol", nir, fruit=np.arange(3), epochs=2).result.notes)
    assert notes["samples"] == notes["batch_size"] == "6"
    assert notes["steps"] == "2"

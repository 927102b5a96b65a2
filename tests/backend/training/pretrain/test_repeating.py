"""The seed decides what a pretraining ends with, whatever interrupted it on the way."""

import pytest
import torch

from backend.training import optim


@pytest.mark.parametrize("method", ["simclr", "moco", "dino", "triplet", "colourisation"])
def test_resumes_bit_by_bit(train, drawn, nir, small_method, method, tmp_path):
    """A training that was killed after two of three epochs ends like one that was not."""
    data = nir if method != "colourisation" else drawn(rgb=3)
    if method == "triplet":
        method = small_method("triplet", mining="random")

    class KilledError(Exception):
        pass

    def kill(report):
        if report.epoch == 3:
            raise KilledError

    whole = train(method, data, epochs=3).result
    file = tmp_path / "state.safetensors"
    with pytest.raises(KilledError):
        train(method, data, epochs=3, checkpoint=file, on_epoch=kill)
    seen = []
    resumed = train(method, data, epochs=3, checkpoint=file, on_epoch=lambda r: seen.append(r.epoch)).result
    assert seen == [3]
    assert resumed.weights == whole.weights
    assert resumed.curves == whole.curves


def test_multiplies_in_bfloat16_where_the_cpu_can(train, nir, monkeypatch):
    results = {}
    for capable in (True, False):
        monkeypatch.setattr(optim, "_multiplies_bfloat16", lambda there=capable: there)
        results[capable] = train("simclr", nir, epochs=1).result
    assert [dict(results[capable].notes)["precision"] for capable in (True, False)] == ["bfloat16", "float32"]
    assert results[True].weights != results[False].weights
    ours, theirs = (
        [p.value for p in results[capable].curves if p.metric == "loss"] for capable in (True, False)
    )
    assert ours == pytest.approx(theirs, rel=0.02)


def test_a_checkpoint_of_another_training_is_not_used(train, nir, tmp_path):
    file = tmp_path / "state.safetensors"
    train("simclr", nir, epochs=1, checkpoint=file)
    other = train("simclr", nir, epochs=1, seed=4, checkpoint=file)
    fresh = train("simclr", nir, epochs=1, seed=4)
    assert other.result.weights == fresh.result.weights


def test_a_torn_checkpoint_is_not_used(train, nir, tmp_path):
    file = tmp_path / "state.safetensors"
    train("rotation", nir, epochs=1, checkpoint=file)
    file.write_bytes(file.read_bytes()[:-100])
    torn = train("rotation", nir, epochs=1, checkpoint=file)
    fresh = train("rotation", nir, epochs=1)
    assert torn.result.weights == fresh.result.weights


def test_the_seed_decides_everything(train, nir):
    first = train("byol", nir, epochs=1)
    torch.manual_seed(99)
    again = train("byol", nir, epochs=1)
    other = train("byol", nir, epochs=1, seed=4)
    assert first.result.weights == again.result.weights
    assert first.result.weights != other.result.weights

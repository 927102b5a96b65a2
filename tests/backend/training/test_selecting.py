"""Which fruit of the pool a pretraining sees."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from backend.config import CORESETS, SELECTIONS, DataConfig, ModelConfig, RunConfig
from backend.data.dataset import MULTICLASS
from backend.data.manifest import read_dataset
from backend.errors import ConfigError
from backend.training.pretraining import _selected
from backend.training.selecting import select_pool, sound_fruit
from backend.training.task import FoldParts


@pytest.fixture(scope="module")
def dataset(multilabel_folder):
    return read_dataset(multilabel_folder)


def config(selection, share=1.0):
    return RunConfig(kind="pretrain", data=DataConfig(selection=selection, selection_share=share))


def features(rows):
    """Two far-apart clouds: even rows and odd rows."""
    jitter = np.random.default_rng(0).normal(0, 0.01, (len(rows), 2))
    return (np.column_stack([rows % 2, 1 - rows % 2]) + jitter).astype(np.float32)


@pytest.fixture
def pool(dataset):
    return np.arange(len(dataset))


@pytest.fixture
def known(dataset):
    return np.flatnonzero(dataset.labelled)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_selection_is_a_sorted_part_of_the_pool_and_repeats(dataset, pool, known, selection):
    pool = pool[3:]
    first, second = (select_pool(config(selection), dataset, pool, known, features, seed=5) for _ in range(2))
    assert len(first) >= 2
    assert set(first) <= set(pool)
    assert (np.diff(first) > 0).all()
    assert first.tolist() == second.tolist()


@pytest.mark.parametrize("selection", ["all", *CORESETS])
def test_a_share_is_a_share_of_the_pool(dataset, pool, known, selection):
    chosen = select_pool(config(selection, 0.25), dataset, pool, known, features, seed=1)
    assert len(chosen) == round(0.25 * len(pool))


def test_compositions_look_at_known_labels_only(dataset, pool, known):
    half = known[::2]
    healthy = select_pool(config("healthy"), dataset, pool, half, None, seed=0)
    defective = select_pool(config("defective"), dataset, pool, half, None, seed=0)
    assert sound_fruit(dataset, dataset.labels[healthy]).all()
    assert (dataset.labels[defective] == 1).any(axis=1).all()
    assert sorted([*healthy, *defective]) == half.tolist()


def test_classes_of_which_none_is_healthy_have_no_sound_fruit(dataset):
    labels = np.eye(3, dtype=np.float32)
    named = replace(dataset, task=MULTICLASS, healthy=dataset.defect_names[1])
    assert sound_fruit(named, labels).tolist() == [False, True, False]
    assert not sound_fruit(replace(named, healthy=""), labels).any()


def test_balanced_takes_as_many_of_each_defect_as_of_the_rarest(dataset, pool, known):
    chosen = select_pool(config("balanced"), dataset, pool, known, None, seed=0)
    labels = dataset.labels[known]
    table = np.column_stack([labels == 1, sound_fruit(dataset, labels)])
    rarest = table.sum(axis=0)[table.any(axis=0)].min()
    assert rarest <= sound_fruit(dataset, dataset.labels[chosen]).sum() == rarest
    assert len(chosen) <= rarest * table.any(axis=0).sum()


def test_k_centre_takes_both_clouds_even_where_one_is_small(dataset, known):
    lopsided = np.array([*range(0, 40, 2), 41])
    chosen = select_pool(config("k_centre", 2 / 21), dataset, lopsided, known, features, seed=0)
    assert 41 in chosen


@pytest.mark.parametrize("selection", [*CORESETS, "balanced_pseudo"])
def test_a_selection_by_features_needs_features(dataset, pool, known, selection):
    with pytest.raises(ConfigError, match="without features"):
        select_pool(config(selection), dataset, pool, known, None, seed=0)


def test_too_small_a_selection_is_refused(dataset, pool, known):
    with pytest.raises(ConfigError, match="leaves 1 of"):
        select_pool(
            config("healthy"), dataset, pool, known[sound_fruit(dataset, dataset.labels[known])][:1], None, 0
        )


def test_no_label_of_a_test_fruit_changes_a_selection(dataset, pool, known):
    train, test = known[: len(known) // 2], known[len(known) // 2 :]
    flipped = dataset.labels.copy()
    flipped[test] = 1 - flipped[test]
    other = replace(dataset, labels=flipped)
    for selection in ("healthy", "defective", "balanced"):
        a, b = (select_pool(config(selection), d, pool, train, None, seed=3) for d in (dataset, other))
        assert a.tolist() == b.tolist(), selection


def test_only_fruit_with_a_picture_of_every_sensor_are_chosen_among(dataset):
    rows = np.arange(len(dataset))
    present = {"rgb": np.ones((len(rows), 2), bool), "nir": np.ones((len(rows), 1), bool)}
    present["rgb"][0, 0] = False  # one view of two is a picture
    present["rgb"][1] = present["nir"][2] = False
    context = SimpleNamespace(dataset=dataset, cache=SimpleNamespace(present=present))
    parts = FoldParts(rows[:0], rows[:0], rows[:0], rows[:0], rows)
    run = RunConfig(
        kind="pretrain", model=ModelConfig(modalities=("rgb", "nir")), data=DataConfig(pool="train")
    )
    task = SimpleNamespace(config=run, fold=0, weights=None)
    assert _selected(task, context, parts).tolist() == [0, *range(3, len(rows))]

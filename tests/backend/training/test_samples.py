import numpy as np
import pytest

from backend.errors import ConfigError
from backend.training.samples import Blocks, EpochOrder, SamplePool

VIEWS = {"rgb": ("top", "left", "right"), "nir": ("left", "top")}
"""``right`` has no counterpart in NIR, and the two sensors name their views in another order."""


def pool(positives, *, fruit=range(8), classes=None, missing=(), registered=True):
    present = {name: np.ones((8, len(views)), dtype=bool) for name, views in VIEWS.items()}
    for modality, row, view in missing:
        present[modality][row, view] = False
    classes = None if classes is None else np.array(classes)
    rows = np.array(list(fruit), dtype=np.int64)
    return SamplePool(present, VIEWS, rows, positives, classes, registered=registered)


def rng():
    return np.random.default_rng(0)


def draws(samples, count=300):
    """Every (sample, partner) that is ever drawn."""
    random, chosen = rng(), np.arange(len(samples))
    return {pair for _ in range(count) for pair in zip(chosen, samples.partners(chosen, random), strict=True)}


def test_samples_are_views_that_every_sensor_has():
    samples = pool("augment")
    assert len(samples) == 16
    assert samples.fruit.tolist() == sorted([*range(8)] * 2)
    # "top" is RGB's first and NIR's second view.
    assert samples.columns["rgb"][:2].tolist() == [0, 1]
    assert samples.columns["nir"][:2].tolist() == [1, 0]


def test_no_picture_is_left_out_where_sensors_need_not_be_registered():
    samples = pool("augment", registered=False)
    assert len(samples) == 24
    assert samples.columns["rgb"][:3].tolist() == [0, 1, 2]
    # "top" and "left" are themselves; for "right", NIR's first view stands in.
    assert samples.columns["nir"][:3].tolist() == [1, 0, 0]


def test_sensors_without_a_view_in_common_are_pretrained_together():
    views = {"top": ("a", "b", "c"), "side": ("left", "right")}
    present = {name: np.ones((4, len(names)), dtype=bool) for name, names in views.items()}
    samples = SamplePool(present, views, np.arange(4), "augment")
    for name, names in views.items():
        seen = set(zip(samples.fruit.tolist(), samples.columns[name].tolist(), strict=True))
        assert seen == {(fruit, number) for fruit in range(4) for number in range(len(names))}
    with pytest.raises(ConfigError, match="0 images with all of top, side"):
        SamplePool(present, views, np.arange(4), "augment", registered=True)


def test_missing_views_and_fruit_outside_the_pool_are_no_samples():
    samples = pool("augment", fruit=[5, 1, 2], missing=[("nir", 2, 0), ("rgb", 2, 0)])
    assert samples.fruit.tolist() == [1, 1, 5, 5]


def test_the_partner_of_an_augmented_image_is_itself():
    samples = pool("augment")
    assert all(a == b for a, b in draws(samples, 3))


def test_views_pair_with_every_other_view_of_the_fruit():
    samples = pool("views", missing=[("rgb", 3, 1)])
    pairs = draws(samples)
    alone = next(i for i in range(len(samples)) if samples.fruit[i] == 3)
    for a, b in pairs:
        assert samples.fruit[a] == samples.fruit[b]
        assert (a != b) or a == alone


def test_fruit_pairs_with_any_image_of_the_fruit():
    samples = pool("fruit")
    pairs = draws(samples)
    expected = {(a, b) for a in range(16) for b in range(16) if a // 2 == b // 2}
    assert pairs == expected


def test_class_pairs_with_every_other_fruit_of_the_class():
    classes = [0, 1, 0, 1, 0, 2, -1, -1]
    samples = pool("class", classes=classes)
    kind = np.array(classes)[samples.fruit]
    expected = set()
    for a in range(16):
        others = {
            (a, b)
            for b in range(16)
            if kind[a] == kind[b] and kind[a] >= 0 and samples.fruit[a] != samples.fruit[b]
        }
        # Fruit 5 is alone in its class, 6 and 7 have no label.
        expected |= others or {(a, a)}
    assert draws(samples, 1000) == expected
    assert samples.classes.tolist() == kind.tolist()


def test_too_few_images_are_refused():
    with pytest.raises(ConfigError, match="0 images with all of rgb, nir"):
        pool("augment", fruit=[])
    with pytest.raises(ConfigError, match="1 images"):
        pool("augment", fruit=[4], missing=[("rgb", 4, 0)])


def test_limits_draw_the_same_samples_for_a_seed():
    samples = pool("augment")
    drawn = samples.limited(5, seed=1)
    assert len(set(drawn.tolist())) == 5
    assert drawn.tolist() == samples.limited(5, seed=1).tolist() != samples.limited(5, seed=2).tolist()
    assert samples.limited(99, seed=1).tolist() == list(range(16))


def test_every_sample_comes_once_an_epoch():
    order = EpochOrder(np.arange(12), batch_size=4, seed=0)
    epochs = [[chosen.tolist() for chosen, _ in order.epoch(number)] for number in (1, 2, 1)]
    assert sorted(number for step in epochs[0] for number in step) == list(range(12))
    assert epochs[0] != epochs[1]
    assert epochs[0] == epochs[2]


def test_an_incomplete_batch_is_left_out_and_a_large_one_clamped():
    assert [len(chosen) for chosen, _ in EpochOrder(np.arange(11), 4, 0).epoch(1)] == [4, 4]
    assert [len(chosen) for chosen, _ in EpochOrder(np.arange(3), 64, 0).epoch(1)] == [3]


def test_blocks_of_a_pallet_stand_together_and_nothing_is_lost():
    pallet = np.repeat(np.arange(5), [9, 8, 8, 3, 1])
    order = EpochOrder(
        np.arange(29), 29, seed=0, blocks=Blocks(np.random.default_rng(0).permutation(pallet), 4)
    )
    pallet = order._blocks.groups
    epochs = [next(order.epoch(number))[0] for number in (1, 2, 1)]
    assert sorted(epochs[0].tolist()) == list(range(29))
    assert epochs[0].tolist() == epochs[2].tolist() != epochs[1].tolist()
    changes = np.flatnonzero(np.diff(pallet[epochs[0]]))
    assert len(changes) <= 8, "nine blocks: 4 4 1, 4 4, 4 4, 3, 1"
    shuffled = next(EpochOrder(np.arange(29), 29, seed=0).epoch(1))[0]
    assert len(np.flatnonzero(np.diff(pallet[shuffled]))) > 12
    assert {len(set(pallet[chosen])) for chosen, _ in EpochOrder(np.arange(29), 4, 0).epoch(1)} != {1}


def test_fruit_of_no_common_pallet_are_drawn_as_ever():
    samples = pool("augment")
    every = np.arange(len(samples))
    rows = int(samples.fruit.max()) + 1
    assert samples.blocks(every, [f"fruit-{row}" for row in range(rows)], 8) is None
    assert samples.blocks(every, ["pallet"] * rows, 1) is None
    blocks = samples.blocks(every, [f"pallet-{row // 4}" for row in range(rows)], 8)
    assert (np.diff(blocks.groups[np.argsort(samples.fruit, kind="stable")]) >= 0).all()
    same = EpochOrder(every, 4, 0, blocks=None).epoch(1), EpochOrder(every, 4, 0).epoch(1)
    assert [a.tolist() for a, _ in same[0]] == [b.tolist() for b, _ in same[1]]

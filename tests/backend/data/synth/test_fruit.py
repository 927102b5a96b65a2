"""What is drawn before anything is painted: prevalences, co-occurrence, pallets, pressures."""

import numpy as np
import pytest

from backend.data.synth.catalogue import DEFECTS, FRUIT_FACTORS, MARKS, PALLET_FACTORS
from backend.data.synth.fruit import (
    MILDEST,
    PALLET_SIZE,
    PRESSURES,
    Fruit,
    draw_fruit,
    draw_pallet,
    draw_pressures,
    pallet_generator,
    shape_fruit,
)
from backend.data.synth.painters import PAINTERS

NAMES = [spec.name for spec in DEFECTS]


@pytest.fixture(scope="module")
def severity():
    """(400 pallets, 12 fruit, D)."""
    return np.array([draw_fruit(pallet_generator(1, i)).severity for i in range(400)])


def test_the_ten_defects_of_the_design_all_have_a_painter():
    assert list(PAINTERS) == NAMES
    kinds = [spec.defect.kind for spec in DEFECTS]
    assert kinds == ["internal"] * 5 + ["external"] * 5


@pytest.mark.parametrize("spec", DEFECTS, ids=NAMES)
def test_a_latent_has_room_for_chance(spec):
    assert set(spec.pallet) <= set(PALLET_FACTORS)
    assert set(spec.fruit) <= set(FRUIT_FACTORS)
    assert sum(x * x for x in (*spec.pallet.values(), *spec.fruit.values())) < 1
    assert 1 <= spec.marks[0] <= spec.marks[1] <= MARKS


def test_prevalences_are_as_stated_and_about_half_is_sound(severity):
    present = (severity > 0).mean(axis=(0, 1))
    np.testing.assert_allclose(present, [spec.prevalence for spec in DEFECTS], atol=0.022)
    assert 0.42 < (severity == 0).all(axis=2).mean() < 0.58


def test_severities_run_from_mild_to_severe(severity):
    there = severity[severity > 0]
    assert MILDEST <= there.min() < MILDEST + 0.02
    assert 0.98 < there.max() <= 1
    assert abs(np.median(there) - (1 + MILDEST) / 2) < 0.03


@pytest.mark.parametrize(
    ("a", "b"),
    [("body-rot", "bruising"), ("stem-end-rot", "body-rot"), ("sunburn", "lenticel-damage")],
)
def test_defects_that_share_a_cause_occur_together(severity, a, b):
    x, y = (severity[..., NAMES.index(name)].ravel() > 0 for name in (a, b))
    assert (x & y).mean() > 1.5 * x.mean() * y.mean()


def test_pallets_differ_more_than_chance(severity):
    bruised = (severity[..., NAMES.index("bruising")] > 0).mean(axis=1)
    p = bruised.mean()
    assert bruised.var() > 1.3 * p * (1 - p) / PALLET_SIZE


def test_a_pallet_is_a_function_of_seed_and_number():
    a, b, c = (draw_fruit(pallet_generator(*key)) for key in ((3, 5), (3, 5), (3, 6)))
    for name in Fruit.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert not np.array_equal(a.ripeness, c.ripeness)
    assert draw_pallet(pallet_generator(3, 5), 5).name == "pallet-0005"


def pressures(severity, ripeness):
    n = len(severity)
    rng = np.random.default_rng(0)
    fruit = shape_fruit(rng, np.full(n, ripeness, np.float32), severity, DEFECTS)
    return draw_pressures(rng, fruit, DEFECTS, 1.0)


def one_defect(name, n=400, value=0.9):
    severity = np.zeros((n, len(DEFECTS)), np.float32)
    severity[:, NAMES.index(name)] = value
    return severity


def test_pressures_soften_with_ripeness():
    sound = np.zeros((400, len(DEFECTS)), np.float32)
    hard, soft = pressures(sound, 0.1).mean(axis=0), pressures(sound, 0.9).mean(axis=0)
    assert hard.shape == (len(PRESSURES),)
    assert (hard[:3] > 2.5 * soft[:3]).all()
    assert hard[3] > soft[3] + 0.1


@pytest.mark.parametrize(
    ("name", "tap", "recovery"),
    [
        ("bruising", True, False),
        ("body-rot", True, True),
        ("grey-pulp", False, True),
        ("vascular-browning", False, False),
        ("sunburn", False, False),
        ("wind-scar", False, False),
    ],
)
def test_only_broken_flesh_is_felt(name, tap, recovery):
    sound = pressures(one_defect(name, value=0), 0.4)
    ill = pressures(one_defect(name), 0.4)
    drop = 1 - ill[:, :3].min(axis=1).mean() / sound[:, :3].min(axis=1).mean()
    assert drop > 0.1 if tap else drop < 0.08
    lower = sound[:, 3].mean() - ill[:, 3].mean()
    assert lower > 0.05 if recovery else lower < 0.05


def test_a_bruise_is_felt_at_the_nearest_tap():
    severity = one_defect("bruising")
    rng = np.random.default_rng(0)
    fruit = shape_fruit(rng, np.full(400, 0.3, np.float32), severity, DEFECTS)
    fruit.angles[:] = 0
    fruit.heights[:] = 0.2
    taps = draw_pressures(rng, fruit, DEFECTS, 1.0)[:, :3].mean(axis=0)
    assert taps[0] < 0.8 * taps[1]
    assert taps[0] < 0.8 * taps[2]

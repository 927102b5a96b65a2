"""Colours hold for colour-blind eyes, in grey, and against their background."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from dashboard.theme import (
    DARK,
    EXTERNAL,
    INTERNAL,
    KINDS,
    LIGHT,
    Look,
    Tint,
    channels,
    contrast,
    inks,
    tints,
    turning_point,
)

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
SIGHT = {
    "all cones": np.eye(3),
    "no red cones": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no green cones": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "no blue cones": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def lab(colour: str, sight: np.ndarray) -> np.ndarray:
    """CIELAB of a colour as somebody sees it."""
    rgb = np.array(channels(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(sight @ linear, 0, 1) / np.array([0.95047, 1, 1.08883])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def apart(a: str, b: str, sight: np.ndarray) -> float:
    return float(np.linalg.norm(lab(a, sight) - lab(b, sight)))


@pytest.fixture(params=[LIGHT, DARK], ids=["light", "dark"])
def look(request: pytest.FixtureRequest) -> Look:
    return request.param


@pytest.mark.parametrize("sight", SIGHT)
def test_defects_of_a_family_differ_for_every_eye(look: Look, sight: str) -> None:
    for kind in KINDS:
        for a, b in combinations(look.family(kind), 2):
            assert apart(a, b, SIGHT[sight]) > 6, (kind, a, b)


@pytest.mark.parametrize("sight", SIGHT)
def test_internal_external_and_healthy_never_look_alike(look: Look, sight: str) -> None:
    groups = [look.family(INTERNAL), look.family(EXTERNAL), (look.healthy,)]
    for left, right in combinations(groups, 2):
        for a in left:
            for b in right:
                assert apart(a, b, SIGHT[sight]) > 9, (a, b)


@pytest.mark.parametrize("sight", SIGHT)
def test_the_argued_for_stands_out_from_the_reference(look: Look, sight: str) -> None:
    assert apart(look.accent, look.reference, SIGHT[sight]) > 15


def test_neighbours_in_a_family_differ_in_grey_print() -> None:
    for kind in KINDS:
        steps = LIGHT.family(kind)
        for a, b in pairwise(steps):
            assert abs(lab(a, np.eye(3))[0] - lab(b, np.eye(3))[0]) > 8, (a, b)


def test_marks_and_words_stand_out_from_the_background(look: Look) -> None:
    ground = channels(look.background)
    for words in (look.text, look.muted, look.accent):
        assert contrast(channels(words), ground) >= 4.5
    for marks in (look.reference, look.healthy, *(step for kind in KINDS for step in look.family(kind))):
        assert contrast(channels(marks), ground) >= 3, marks


def test_words_in_a_cell_always_read(look: Look) -> None:
    for kind in KINDS:
        for colour in look.family(kind):
            turn = turning_point(colour, look)
            for share in np.linspace(0, 1, 21):
                ends = zip(channels(look.background), channels(colour), strict=True)
                fill = tuple(a + share * (b - a) for a, b in ends)
                ink = inks(look)[int(share >= turn)]
                assert contrast(channels(ink), fill) >= 4.5, (colour, share)


def test_a_defect_keeps_its_colour_whatever_is_filtered() -> None:
    kinds = {"rot": INTERNAL, "scar": EXTERNAL, "bruise": INTERNAL, "odd": "unknown kind", "fine": "other"}
    found = tints(kinds, "fine")
    assert found["rot"] == Tint(INTERNAL, 0) and found["bruise"] == Tint(INTERNAL, 1)
    assert found["scar"].colour(LIGHT) == LIGHT.family(EXTERNAL)[0]
    assert found["fine"].colour(DARK) == DARK.healthy
    assert found["odd"].colour(LIGHT) in LIGHT.family("other")


def test_more_defects_than_colours_begin_again() -> None:
    assert Tint(INTERNAL, 7).colour(LIGHT) == LIGHT.family(INTERNAL)[2]


def test_contrast_is_that_of_wcag() -> None:
    assert contrast((1, 1, 1), (0, 0, 0)) == pytest.approx(21)
    assert contrast(channels("#767676"), (1, 1, 1)) == pytest.approx(4.54, abs=0.01)

"""Scores of heat maps against values worked out by hand."""

import numpy as np
import pytest

from backend.explain.score import energy, iou, localisation, pointing, strongest_view


def heat_at(row, column, side=100):
    heat = np.zeros((side, side), dtype=np.float32)
    heat[row, column] = 1
    return heat


def box(top, left, height, width, side=100):
    mask = np.zeros((side, side), dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


@pytest.mark.parametrize(("column", "hit"), [(45, True), (29, True), (22, True), (17, True), (16, False)])
def test_the_pointing_game_forgives_three_pixels_of_a_hundred(column, hit):
    assert pointing(heat_at(25, column), box(20, 20, 20, 40)) is hit


def test_a_map_without_evidence_points_nowhere():
    nothing = np.zeros((100, 100), dtype=np.float32)
    assert not pointing(nothing, box(0, 0, 100, 100))
    assert not pointing(heat_at(3, 3), np.zeros((100, 100), dtype=bool))
    assert energy(nothing, box(0, 0, 9, 9)) == 0
    assert iou(nothing, np.zeros((100, 100), dtype=bool)) == 0


def test_energy_is_the_share_inside():
    heat = heat_at(5, 5) + 3 * heat_at(50, 50)
    assert energy(heat, box(0, 0, 10, 10)) == pytest.approx(0.25)


def test_iou_counts_what_is_lit_at_half_the_maximum():
    heat = np.where(box(0, 0, 10, 10), 1.0, np.where(box(0, 0, 20, 10), 0.4, 0)).astype(np.float32)
    assert iou(heat, box(0, 0, 10, 10)) == 1
    assert iou(heat, box(5, 0, 10, 10)) == pytest.approx(50 / 150)
    assert iou(heat, box(5, 0, 10, 10), level=0.3) == pytest.approx(100 / 200)


def test_the_strongest_view_decides():
    mask = box(0, 0, 10, 10)
    weak, strong = heat_at(50, 50), 3 * heat_at(5, 5)
    maps = {("rgb", "1"): weak, ("nir", "2"): strong}
    assert strongest_view(maps) == ("nir", "2")
    assert localisation(maps, {"2": mask}) == {"pointing": 1, "energy": 0.75, "iou": 1 / 100}
    # The defect shows in view 1 only: evidence in view 2 is wrong wherever it lies.
    assert localisation(maps, {"1": mask}) == {"pointing": 0, "energy": 0, "iou": 0}

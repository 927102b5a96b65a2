"""Charts on changes, sensors, augmentations and methods: valid, and of one shape whatever the rows."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from dashboard.charts.bars import interval_bars
from dashboard.charts.changes import fixed_and_broken
from dashboard.charts.grid import difference_grid, value_grid
from dashboard.charts.lines import bands, flat_domain, shared_domain
from dashboard.figure import Figure
from dashboard.theme import DARK, LIGHT, Tint

CELLS = pd.DataFrame(
    [("RGB", "all", "mark", None, None, 1, "with RGB"), ("rot", "all", "cell", "70", "±9", 0.7, "rot")],
    columns=["row", "column", "part", "large", "small", "shade", "words"],
)
BARS = pd.DataFrame(
    [
        ("RGB", 0.3, 0.2, 0.4, "0.30", "RGB: 0.30", "accent"),
        ("NIR", -0.1, None, None, "−0.10", "NIR", "fewer"),
    ],
    columns=["name", "value", "low", "high", "text", "words", "tone"],
)
SIDES = pd.DataFrame(
    [("rot", "broken", -2, "2", "2 missed", "", ""), ("rot", "fixed", 5, "5", "5 found", "rot", "+3")],
    columns=["name", "side", "n", "text", "words", "heading", "gap"],
)
LINES = pd.DataFrame(
    [
        (10.0, 0.4, 0.3, 0.5, "SimCLR", "accent", "", "above", "x"),
        (100.0, 0.6, None, None, "SimCLR", "accent", "SimCLR", "above", "x"),
    ],
    columns=["x", "value", "low", "high", "series", "tone", "label", "side", "words"],
)
CHARTS = {
    "values": (
        value_grid,
        CELLS,
        {"rows": ("RGB", "rot"), "columns": ("all",), "tint": Tint("other"), "axis": "found", "marked": True},
    ),
    "differences": (
        difference_grid,
        CELLS,
        {"rows": ("rot",), "columns": ("two words",), "axis": "x", "reach": 0.1},
    ),
    "bars": (interval_bars, BARS, {"order": ("RGB", "NIR"), "axis": "MCC", "domain": (-0.1, 0.4)}),
    "changes": (fixed_and_broken, SIDES, {"order": ("rot",), "axis": "decisions"}),
    "lines": (bands, LINES, {"axes": ("labels", "MCC"), "log": True, "ticks": (10.0, 100.0)}),
    "epochs": (bands, LINES, {"axes": ("epoch", "spread"), "height": 200}),
}


@pytest.fixture(params=CHARTS)
def drawn(request: pytest.FixtureRequest):
    return CHARTS[request.param]


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=["light", "dark"])
def test_every_chart_is_valid_and_carries_its_rows(drawn, look, holds_its_rows) -> None:
    holds_its_rows(drawn, look)


def test_the_shape_never_depends_on_the_rows(drawn, shape_stays) -> None:
    shape_stays(drawn)


def test_no_text_is_smaller_than_14_pixels(drawn) -> None:
    chart, frame, options = drawn
    text = json.dumps(Figure("n", "t", "s", chart, frame, options).spec(LIGHT))
    sizes = [float(size) for size in re.findall(r'"\w*[fF]ontSize": (\d+)', text)]
    assert sizes and min(sizes) >= 14


def test_a_difference_of_zero_has_no_colour() -> None:
    chart, frame, options = CHARTS["differences"]
    scale = chart(frame, LIGHT, **options).to_dict()["layer"][0]["encoding"]["color"]["scale"]
    assert scale["domain"] == [-0.1, 0, 0.1] and scale["range"][1] == LIGHT.background


def test_the_reference_is_grey_and_what_is_argued_for_is_not() -> None:
    for name in ("bars", "lines"):
        chart, frame, options = CHARTS[name]
        text = json.dumps(chart(frame, LIGHT, **options).to_dict())
        scale = json.loads(re.search(r'"scale": (\{"domain": \["accent".*?\})', text)[1])
        colours = dict(zip(scale["domain"], scale["range"], strict=True))
        assert (colours["accent"], colours["reference"]) == (LIGHT.accent, LIGHT.reference)


@pytest.mark.parametrize(
    ("values", "height"), [((0.5, 0.7), None), ((0.25, 0.2501), 0.005), ((0.0, 0.0), None)]
)
def test_what_hardly_changes_stays_flat(values, height) -> None:
    _, frame, options = CHARTS["epochs"]
    flat = frame.head(2).assign(value=values, low=None, high=None)
    drawn = Figure("epochs", "", "", bands, flat, {**options, **flat_domain(flat)}).spec(LIGHT)
    y = drawn["layer"][1]["encoding"]["y"]["scale"]
    domain = y.get("domain")
    assert (None if domain is None else pytest.approx(domain[1] - domain[0], rel=1e-3)) == height


def test_panels_side_by_side_have_one_scale() -> None:
    _, frame, options = CHARTS["epochs"]
    low, high = (
        frame.head(2).assign(value=values, low=None, high=ends)
        for values, ends in (((0.13, 0.3), None), ((0.5, 0.7), (0.52, 0.77)))
    )
    shared = shared_domain([low, high])
    for panel in (low, high):
        drawn = Figure("epochs", "", "", bands, panel, {**options, **shared}).spec(LIGHT)
        assert drawn["layer"][1]["encoding"]["y"]["scale"]["domain"] == [0.1, 0.8]
    assert shared_domain([]) == shared_domain([low.assign(value=0.4, high=None)]) == {}

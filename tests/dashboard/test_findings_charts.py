"""Charts of features, the search, the data and compared runs: valid, and of one shape whatever the rows."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from dashboard.charts.groups import group_rates
from dashboard.charts.overlay import overlaid, run_colours
from dashboard.charts.pairs import pairs
from dashboard.charts.space import BOX, feature_space
from dashboard.charts.tuning import history, parallel, pareto, setting
from dashboard.figure import Figure
from dashboard.theme import DARK, LIGHT, Tint

AXES = ("x words", "y words")
POINTS = pd.DataFrame(
    [("a", 0.1, 0.2, "rot", "p1", "a"), ("b", 1.0, 2.0, "sound", "p2", "")],
    columns=["fruit", "x", "y", "colour", "group", "label"],
)
TRIALS = pd.DataFrame(
    [(1, 0.3, 0.3, "trial 1", ""), (2, 0.5, 0.5, "trial 2", "best")],
    columns=["trial", "score", "best", "words", "label"],
)
VALUES = pd.DataFrame([(0.1, 0.3, 0, "x"), (0.2, 0.5, 1, "y")], columns=["value", "score", "best", "words"])
LINES = pd.DataFrame(
    [(0, 'it\'s "odd"', 0.2, 0.5, "line", ""), (-1, "score", 1.0, 0.0, "tick", "0.5")],
    columns=["trial", "axis", "place", "shade", "part", "text"],
)
COSTS = pd.DataFrame(
    [(1.0, 0.3, 1, "x", "x"), (2.0, 0.2, 0, "y", "")],
    columns=["minutes", "score", "front", "words", "label"],
)
GROUPS = pd.DataFrame(
    [("rot", 10.0, 12.0, 40, "p1", "", "rot")],
    columns=["defect", "rate", "mean", "n", "words", "label", "heading"],
)
PAIRS = pd.DataFrame(
    [("rot", "rot", 0.0, "", "9 fruit"), ("rot", "scar", 0.3, "30", "x")],
    columns=["row", "column", "shade", "text", "words"],
)
CURVES = pd.DataFrame([(1, 0.5, 0.4, 0.6, "one")], columns=["epoch", "value", "low", "high", "run"])
NAMES = {
    "names": ("rot", "sound"),
    "paints": (Tint("internal"), "reference"),
    "title": "Defect",
    "group": "Pallet",
}
CHARTS = {
    "space": (feature_space, POINTS, NAMES),
    "pressure": (feature_space, POINTS, NAMES | {"names": (), "paints": ()}),
    "history": (history, TRIALS, {"axes": AXES}),
    "slice": (setting, VALUES, {"title": "MCC", "scale": "log"}),
    "names": (setting, VALUES, {"title": "MCC", "scale": "names"}),
    "parallel": (parallel, LINES, {"order": ('it\'s "odd"', "score")}),
    "pareto": (pareto, COSTS, {"axes": AXES}),
    "groups": (group_rates, GROUPS, {"order": ("rot",), "tints": (Tint("internal"),), "axis": "of 100"}),
    "pairs": (pairs, PAIRS, {"order": ("rot", "scar"), "tint": Tint("other"), "axis": "x", "reach": 0.4}),
    "overlay": (overlaid, CURVES, {"axes": AXES, "runs": ("one", "two")}),
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
    assert min(float(size) for size in re.findall(r'ontSize": ([\d.]+)', text)) >= 14


def test_dragging_a_box_is_possible_on_screen_and_gone_in_files() -> None:
    figure = Figure("n", "t", "s", feature_space, POINTS, NAMES)
    (param,) = figure.spec(LIGHT)["params"]
    assert param["name"] == BOX and param["select"]["type"] == "interval"
    assert not {"params", "usermeta"} & set(figure.drawing(LIGHT))


def test_runs_differ_in_colour_or_dash() -> None:
    colours = run_colours(LIGHT, 8)
    assert len(set(colours[:4])) == 4 and colours[:4] == colours[4:]
    spec = overlaid(CURVES, LIGHT, axes=AXES, runs=tuple(f"run {i}" for i in range(8))).to_dict()
    dashes = spec["layer"][1]["encoding"]["strokeDash"]["scale"]["range"]
    assert dashes[0] != dashes[4]

"""Charts are valid Vega-Lite, say what they should, and keep their shape whatever the rows are."""

from __future__ import annotations

import json

import altair as alt
import pandas as pd
import pytest

from dashboard import multiples
from dashboard.charts.balance import balance
from dashboard.charts.confusion import CELL, confusion_matrix, difference_matrix
from dashboard.charts.curves import calibration, cost_curve, precision_recall
from dashboard.charts.defects import defect_by_defect
from dashboard.charts.training import training_curve
from dashboard.figure import LETTER, Figure, Panels, records
from dashboard.theme import DARK, LIGHT, Tint

AXES = ("x words", "y words")
TINT = Tint("internal", 1)
MATRIX = pd.DataFrame(
    [("ill", "ill", 9, 0.9, "9", "90 % found", 0.9, 0), ("ill", "well", 1, 0.1, "1", "10 % missed", 0.1, 0)],
    columns=["truth", "said", "n", "share", "large", "small", "shade", "quiet"],
)
CURVE = pd.DataFrame(
    {"recall": [0.1, None], "precision": [0.9, 0.5], "part": ["curve", "chosen"], "label": ["", "x"]}
)
SIDES = pd.DataFrame(
    [("rot", "reference", "a", 60.0, 50.0, 70.0, "60 of 100", "", "rot"),
     ("rot", "challenger", "b", 70.0, 60.0, None, "70 of 100", "+10", "")],
    columns=["defect", "side", "run", "value", "low", "high", "text", "gap", "heading"],
)  # fmt: skip
BINS = pd.DataFrame({"score": [0.1, 0.0], "rate": [0.2, 0.0], "n": [9, None], "part": ["bin", "ideal"]})
COSTS = pd.DataFrame({"threshold": [0.1], "cost": [5.0], "part": ["curve"], "label": [None]})
EPOCHS = pd.DataFrame(
    {
        "epoch": [1, 2],
        "value": [0.5, 0.4],
        "fold": [1, 1],
        "split": ["training"] * 2,
        "label": ["", "training"],
    }
)
BALANCE = pd.DataFrame({"defect": ["rot"], "positives": [3], "labelled": [9], "text": ["3 (33 %)"]})

CHARTS = {
    "confusion": (confusion_matrix, MATRIX, {"order": ("ill", "well"), "tint": TINT, "axes": AXES}),
    "difference": (difference_matrix, MATRIX, {"order": ("ill", "well"), "axes": AXES}),
    "defects": (defect_by_defect, SIDES, {"order": ("rot",), "axis": "found"}),
    "precision": (precision_recall, CURVE, {"tint": TINT, "axes": AXES}),
    "calibration": (calibration, BINS, {"tint": TINT, "axes": AXES}),
    "cost": (cost_curve, COSTS, {"tint": TINT, "axes": AXES}),
    "training": (training_curve, EPOCHS, {"axes": AXES, "splits": ("training", "validation")}),
    "balance": (balance, BALANCE, {"order": ("rot",), "tints": (TINT,), "axis": "fruit"}),
}


@pytest.fixture(params=CHARTS)
def drawn(request: pytest.FixtureRequest):
    return CHARTS[request.param]


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=["light", "dark"])
def test_every_chart_is_valid_and_carries_its_rows(drawn, look, holds_its_rows) -> None:
    holds_its_rows(drawn, look)


def test_the_shape_never_depends_on_the_rows(drawn, shape_stays) -> None:
    shape_stays(drawn)


def test_the_kept_specification_is_that_of_the_chart(drawn, shape) -> None:
    chart, frame, options = drawn
    figure = Figure("name", "Title", "Sentence.", chart, frame, options)
    kept = figure.spec(LIGHT)
    fresh = chart(frame, LIGHT, **options).to_dict()
    kept.pop("config"), fresh.pop("config", None)
    assert shape(kept) == shape(fresh)
    assert figure.spec(LIGHT)["config"]["background"] == LIGHT.background
    assert figure.spec(DARK)["config"]["background"] == DARK.background


def test_the_sides_are_named_beside_all_rows_so_that_no_values_make_their_names_meet() -> None:
    chart, frame, options = CHARTS["defects"]
    names = (("reference", "baseline"), ("challenger", 'Barlow "Twins"'))
    spec = chart(frame, LIGHT, **options, sides=names).to_dict()
    legends = [
        part["encoding"]["color"]["legend"]
        for part in spec["layer"]
        if part["encoding"].get("color", {}).get("field") == "side"
    ]
    assert legends and all(legend["orient"] == "top" for legend in legends)
    assert all(json.dumps(dict(names)) in legend["labelExpr"] for legend in legends)
    texts = {part["encoding"]["text"]["field"] for part in spec["layer"] if "text" in part["encoding"]}
    assert texts == {"heading", "gap"}, "only what has a place of its own is written between the rows"
    alone = chart(frame, LIGHT, **options, sides=names[1:]).to_dict()
    assert "Twins" not in json.dumps(alone), "the title names who stands alone"


def test_truth_is_down_and_the_decision_across() -> None:
    chart, frame, options = CHARTS["confusion"]
    first = chart(frame, LIGHT, **options).to_dict()["layer"][0]["encoding"]
    assert (first["y"]["field"], first["x"]["field"]) == ("truth", "said")
    assert first["x"]["axis"]["orient"] == "top" and first["y"]["sort"] == ["ill", "well"]


def test_a_cell_can_be_clicked() -> None:
    for name in ("confusion", "difference"):
        chart, frame, options = CHARTS[name]
        params = chart(frame, LIGHT, **options).to_dict()["params"]
        assert params[0]["name"] == CELL and params[0]["select"]["fields"] == ["truth", "said"]


def test_scales_start_white_at_zero() -> None:
    chart, frame, options = CHARTS["confusion"]
    encoding = chart(frame, LIGHT, **options).to_dict()["layer"][0]["encoding"]["color"]
    scale = encoding.get("scale") or encoding["condition"].get("scale")
    assert (
        scale is not None
        and scale["domain"] == [0, 1]
        and scale["range"] == [LIGHT.background, TINT.colour(LIGHT)]
    )
    diverging, frame, options = CHARTS["difference"]
    scale = diverging(frame, LIGHT, **options).to_dict()["layer"][0]["encoding"]["color"]["scale"]
    assert scale["domain"][1] == 0 and scale["range"][1] == LIGHT.background


def test_no_text_is_smaller_than_14_pixels_on_screen() -> None:
    def sizes(node):
        if isinstance(node, dict):
            for key, value in node.items():
                if key.lower().endswith("fontsize"):
                    yield value
                yield from sizes(value)
        elif isinstance(node, list):
            for value in node:
                yield from sizes(value)

    for chart, frame, options in CHARTS.values():
        found = list(sizes(Figure("n", "t", "s", chart, frame, options).spec(LIGHT)))
        assert found and min(found) >= 14


def test_rows_are_what_json_can_say() -> None:
    frame = pd.DataFrame({"n": [1, 2], "share": [0.5, float("nan")], "name": ["rot", None]})
    rows = records(frame)
    assert rows == [{"n": 1, "share": 0.5, "name": "rot"}, {"n": 2, "share": None, "name": None}]
    assert [type(value) for value in rows[0].values()] == [int, float, str]
    assert records(frame.head(0)) == []


def test_panels_keep_the_data_of_each_figure_apart() -> None:
    chart, frame, options = CHARTS["confusion"]
    one = Figure("a", "rot", "9 of 10", chart, frame, options)
    two = Figure("b", "scar", "1 of 2", chart, frame.head(1), options)
    drawing = Panels("both", "Both", "", (one, two), 2, frame).drawing(LIGHT)
    assert [len(part["data"]["values"]) for part in drawing["concat"]] == [2, 1]
    assert [part["title"]["text"] for part in drawing["concat"]] == ["rot", "scar"]
    alt.Chart.from_dict({"$schema": alt.SCHEMA_URL, **drawing})


def test_a_long_sentence_does_not_widen_its_panel() -> None:
    chart, frame, options = CHARTS["confusion"]
    long = "agreement 0.63 (0.56 to 0.69) · 49 of 100 found · errors cost 26 per 1,000 fruit"
    panels = Panels("all", "All", "", (Figure("a", "rot", long, chart, frame, options),), 1, frame)
    lines = panels.drawing(LIGHT)["concat"][0]["title"]["subtitle"]
    assert len(lines) > 1 and " ".join(lines) == long
    assert max(map(len, lines)) * LETTER <= panels.width


def test_counts_of_a_defect_that_was_not_judged_are_zero() -> None:
    counts = pd.DataFrame({"defect": ["rot"], "tp": [1], "fp": [2], "fn": [3], "tn": [4]})
    found = multiples.counted(counts, ("scar", "rot"))
    assert list(found) == ["scar", "rot"], "in the order that was asked for"
    assert found["rot"] == {"tp": 1, "fn": 3, "fp": 2, "tn": 4}
    assert found["scar"] == {"tp": 0, "fn": 0, "fp": 0, "tn": 0}

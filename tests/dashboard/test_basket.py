"""A figure survives being put away: the same drawing comes back, and a foreign text is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from backend.errors import StoreError
from dashboard.basket import Exhibit, freeze, thaw
from dashboard.charts.balance import balance
from dashboard.charts.confusion import confusion_matrix
from dashboard.export import Provenance, document
from dashboard.figure import Figure, Panels
from dashboard.theme import Tint

FRAME = pd.DataFrame(
    {"defect": ["rot", "scar"], "positives": [3, 12], "labelled": [60, np.int64(60)], "text": ["3", None]}
)
FIGURE = Figure(
    "balance",
    "How common <b>each</b> defect is",
    "Scars are common.",
    balance,
    FRAME,
    {"order": ("rot", "scar"), "tints": (Tint("internal"), Tint("external", 1)), "axis": "Labelled fruit"},
)
CELLS = pd.DataFrame(
    [("ill", "ill", "9", "90 %", 0.9, 0)], columns=["truth", "said", "large", "small", "shade", "quiet"]
)
MATRIX = Figure(
    "m",
    "rot",
    "9 of 10",
    confusion_matrix,
    CELLS,
    {"order": ("ill", "well"), "tint": Tint("other"), "axes": ("a", "b")},
)
PANELS = Panels("both", "Both", "Side by side.", (MATRIX, MATRIX), 2, FRAME)
STAMP = Provenance(
    ("run-1",),
    "hass",
    "f00d",
    True,
    "0123",
    (("study", "overnight"),),
    datetime(2026, 11, 3, 21, 4, tzinfo=UTC),
)


@pytest.mark.parametrize("figure", [FIGURE, PANELS], ids=["figure", "panels"])
def test_the_very_same_drawing_comes_back(figure) -> None:
    exhibit = Exhibit(figure, STAMP)
    back = thaw(freeze(exhibit))
    assert back.stamp == STAMP and type(back.figure) is type(figure)
    assert document(back.figure, back.stamp) == document(figure, STAMP)
    pd.testing.assert_frame_equal(back.figure.rows, figure.rows, check_dtype=False)
    assert freeze(back) == freeze(exhibit)


def test_the_readers_caption_is_shown_but_not_frozen() -> None:
    text = freeze(Exhibit(FIGURE, STAMP, caption="mine"))
    assert "mine" not in text
    assert thaw(text, "mine").shown.sentence == "mine" and thaw(text).shown.sentence == "Scars are common."


def test_numbers_that_are_none_stay_none() -> None:
    figure = replace(FIGURE, frame=FRAME.assign(positives=[np.nan, 2.0]))
    back = thaw(freeze(Exhibit(figure, STAMP))).figure
    assert pd.isna(back.rows["positives"].iloc[0]) and back.rows["positives"].iloc[1] == 2


class TestForeignTexts:
    whole: ClassVar = json.loads(freeze(Exhibit(FIGURE, STAMP)))

    @pytest.mark.parametrize(
        "chart",
        [
            "os:system",
            "..os:system",
            "balance:alt",
            "balance:layered",
            "balance:_x",
            "nothing:balance",
            "balance",
        ],
    )
    def test_only_charts_can_be_named(self, chart: str) -> None:
        values = {**self.whole, "figure": {**self.whole["figure"], "chart": chart}}
        with pytest.raises(StoreError, match="cannot be read"):
            thaw(json.dumps(values))

    @pytest.mark.parametrize("text", ["", "[]", "{}", "no json", '{"figure": {}, "stamp": {}}', "null"])
    def test_nonsense_is_one_clear_line(self, text: str) -> None:
        with pytest.raises(StoreError, match="remove it and add it again"):
            thaw(text)

    def test_an_option_of_another_type_is_refused(self) -> None:
        figure = {**self.whole["figure"], "options": {"order": {"Path": {"x": 1}}}}
        with pytest.raises(StoreError):
            thaw(json.dumps({**self.whole, "figure": figure}))

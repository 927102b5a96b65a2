"""A figure: one chart function, its data and its words. The screen and the files draw the same one.

A chart function is pure, ``(frame, look, **options) -> altair chart``, and the shape of what it returns
depends on the look and the options, never on the rows. So its specification is built once and kept; after
a filter or a slider moved, only rows are sent, and the browser swaps them into the chart it already has.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboard.theme import Look, config, inks

if TYPE_CHECKING:  # importing altair takes a third of a second, which a page's answer need not wait for
    import altair as alt

Spec = dict[str, Any]
ChartFunction = Callable[..., Any]

LETTER = 7
"""Pixels a letter of a subtitle takes, on average."""
ROWS = "rows"
"""Name of the one data source in every chart."""


def data(frame: pd.DataFrame) -> alt.InlineData:
    """The rows of a chart, in its specification under a fixed name."""
    import altair as alt

    return alt.InlineData(values=records(frame), name=ROWS)


def layered(frame: pd.DataFrame, height: int, *layers: alt.Chart) -> alt.LayerChart:
    """Layers over one set of rows, ``height`` pixels high and as wide as there is room."""
    import altair as alt

    return alt.LayerChart(layer=list(layers), data=data(frame), height=height)


def ink(look: Look, deep: alt.Predicate) -> alt.ColorValue:
    """The colour of words in a cell: the first of ``inks``, and the second one where the cell is ``deep``."""
    import altair as alt

    pale, full = inks(look)
    # A channel's own condition takes half the time of alt.condition, which is checked against the schema.
    return alt.ColorValue(pale).condition(test=deep, value=full)


def haloed(words: alt.Chart, look: Look, **style: Any) -> tuple[alt.Chart, alt.Chart]:
    """Words that stay readable on lines and points: the same words in the background's colour lie under them.

    Args:
        words: encodes ``text`` and where it stands.
        look: light or dark.
        style: of the words, as ``mark_text`` takes it.
    """
    under = {"stroke": look.background, "strokeWidth": 5, "strokeJoin": "round", "aria": False}
    return words.mark_text(**style | under), words.mark_text(**style)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON types; NaN becomes None, which JSON can say."""
    # Plain lists: frames of objects took a fifth of the time of a page with a chart a defect.
    columns = [
        [
            None if lacks else value
            for value, lacks in zip(frame[name].tolist(), frame[name].isna(), strict=True)
        ]
        for name in frame.columns
    ]
    return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: stem of the file names.
        title: what it shows.
        sentence: what it says; the caption in files and the description for screen readers.
        chart: draws it.
        frame: its rows.
        options: further arguments of ``chart``; hashable, so that the specification can be kept.
        table: the rows of the CSV file, where they differ from ``frame``.
    """

    name: str
    title: str
    sentence: str
    chart: ChartFunction
    frame: pd.DataFrame
    options: dict[str, Hashable] = field(default_factory=dict)
    table: pd.DataFrame | None = None

    def spec(self, look: Look) -> Spec:
        """The Vega-Lite specification with its rows, without title."""
        shape = _shape(self.chart, tuple(self.frame.columns), look, tuple(sorted(self.options.items())))
        return {**shape, "data": {"name": ROWS, "values": records(self.frame)}}

    def drawing(self, look: Look, width: int = 760) -> Spec:
        """The specification at a fixed width and without clicks, for files."""
        spec = {**self.spec(look), "width": width}
        for clicks in ("params", "usermeta"):
            spec.pop(clicks, None)
        return spec

    @property
    def rows(self) -> pd.DataFrame:
        """What the CSV file holds."""
        return self.frame if self.table is None else self.table


@dataclass(frozen=True)
class Panels:
    """Small multiples: figures of one kind side by side, each under its own title and sentence.

    Attributes:
        name: stem of the file names.
        title: what they show together.
        sentence: what they say together.
        figures: in reading order.
        columns: how many stand side by side in a file; the screen decides for itself.
        table: the rows of the CSV file.
        width: of one panel in a file, in pixels.
    """

    name: str
    title: str
    sentence: str
    figures: tuple[Figure, ...]
    columns: int
    table: pd.DataFrame
    width: int = 290

    def drawing(self, look: Look) -> Spec:
        """All panels in one specification, for files."""
        parts = []
        for figure in self.figures:
            part = figure.drawing(look, self.width)
            shared = ("config", "$schema")
            part = {key: value for key, value in part.items() if key not in shared}
            # Named data is shared by every view of a specification, so each panel needs its own name.
            part["data"] = {"values": part["data"]["values"]}
            lines = textwrap.wrap(
                figure.sentence, self.width // LETTER
            )  # a longer line would widen its panel
            part["title"] = {"text": figure.title, "subtitle": lines, "fontSize": 15, "offset": 8}
            parts.append(part)
        return {
            "concat": parts,
            "columns": self.columns,
            "resolve": {"scale": {"color": "independent", "size": "independent"}},
            "config": config(look),
        }

    @property
    def rows(self) -> pd.DataFrame:
        """What the CSV file holds."""
        return self.table


@lru_cache(maxsize=512)
def _shape(
    chart: ChartFunction, columns: tuple[str, ...], look: Look, options: tuple[tuple[str, Any], ...]
) -> Spec:
    """A specification without rows. Validation is for the tests; here it would cost most of the time."""
    drawn = chart(pd.DataFrame(columns=list(columns)), look, **dict(options))
    shape: Spec = drawn.to_dict(validate=False)
    shape["config"] = config(look)
    return shape

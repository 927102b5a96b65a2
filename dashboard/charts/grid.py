"""A table of numbers as a figure: a row a thing, a column a variant, shade and text in each cell."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from dashboard.figure import ink, layered
from dashboard.theme import Look, Tint, turning_point

STEP = 44
"""Pixels a row: two lines of text."""
HEAD = 74
"""Pixels above the rows: a title and names of two lines."""
LINE = 16
NAMES = 150
"""Pixels for the names of the rows; beyond them a name is cut, so that cells fit a telephone."""


def value_grid(
    frame: pd.DataFrame,
    look: Look,
    *,
    rows: tuple[str, ...],
    columns: tuple[str, ...],
    tint: Tint,
    axis: str,
    marked: bool = False,
) -> alt.LayerChart:
    """Numbers on a sequential scale: the background at 0, ``tint`` at 1.

    Args:
        frame: a row a cell: ``row``, ``column``, ``part`` (``cell``, or ``mark`` for a dot that says whether
            the column has what the row names), ``large`` and ``small`` (the texts), ``shade`` (0 to 1, for a
            mark 1 or 0) and ``words`` (the tooltip).
        look: light or dark.
        rows: top to bottom.
        columns: left to right.
        tint: of a shade of 1.
        axis: what the columns are.
        marked: whether dots name the columns, so that they need no words.
    """
    colour = tint.colour(look)
    scale = alt.Scale(domain=[0, 1], range=[look.background, colour], clamp=True, interpolate="rgb")
    deep = alt.datum.shade >= turning_point(colour, look)
    return _grid(frame, look, scale, deep, rows=rows, columns=columns, axis=axis, marked=marked)


def difference_grid(
    frame: pd.DataFrame,
    look: Look,
    *,
    rows: tuple[str, ...],
    columns: tuple[str, ...],
    axis: str,
    reach: float,
) -> alt.LayerChart:
    """Differences on a diverging scale around zero; the sign stands in the text too.

    Args:
        frame: see ``value_grid``; ``shade`` is the difference.
        look: light or dark.
        rows: top to bottom.
        columns: left to right.
        axis: what the columns are.
        reach: the difference that takes the full colour.
    """
    ends = [look.fewer, look.background, look.accent]
    scale = alt.Scale(domain=[-reach, 0, reach], range=ends, clamp=True, interpolate="rgb")
    more, fewer = (reach * turning_point(colour, look) for colour in (look.accent, look.fewer))
    deep = (alt.datum.shade >= more) | (alt.datum.shade <= -fewer)
    return _grid(frame, look, scale, deep, rows=rows, columns=columns, axis=axis, marked=False)


def _grid(
    frame: pd.DataFrame,
    look: Look,
    scale: alt.Scale,
    deep: Any,
    *,
    rows: tuple[str, ...],
    columns: tuple[str, ...],
    axis: str,
    marked: bool,
) -> alt.LayerChart:
    # One word a line, so that narrow columns keep their names apart.
    names = alt.Axis(
        orient="top",
        title=axis,
        labelAngle=0,
        labelExpr="split(datum.label, ' ')",
        grid=False,
        labelPadding=4 + LINE * max(name.count(" ") for name in columns or ("",)),
        labelLineHeight=LINE,
    )
    dots = alt.Axis(orient="top", title=axis, labels=False, grid=False)
    base = alt.Chart().encode(
        x=alt.X("column:N", sort=list(columns), axis=dots if marked else names, scale=_gap(0.03)),
        y=alt.Y(
            "row:N",
            sort=list(rows),
            axis=alt.Axis(title=None, grid=False, labelLimit=NAMES),
            scale=_gap(0.06),
        ),
        tooltip=[alt.Tooltip("words:N", title="·")],
    )
    cells = base.transform_filter(alt.datum.part == "cell")
    words = ink(look, deep)
    shades = cells.mark_rect(cornerRadius=3, stroke=look.grid, strokeWidth=1).encode(
        color=alt.Color("shade:Q", scale=scale, legend=None)
    )
    large = cells.mark_text(fontSize=16, fontWeight=600, dy=-8).encode(text="large:N", color=words)
    small = cells.mark_text(fontSize=14, dy=11).encode(text="small:N", color=words)
    layers = [shades, large, small]
    if marked:
        marks = base.transform_filter(alt.datum.part == "mark")
        present = alt.ColorValue(look.grid).condition(test=alt.datum.shade == 1, value=look.text)
        layers.append(marks.mark_point(filled=True, size=150, opacity=1).encode(color=present))
    return layered(frame, STEP * max(1, len(rows)) + (HEAD // 2 if marked else HEAD), *layers)


def _gap(inner: float) -> alt.Scale:
    return alt.Scale(paddingInner=inner, paddingOuter=0)

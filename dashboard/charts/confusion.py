"""Confusion matrices: truth down, said across, count and share in each cell.

``frame`` has a row a cell: ``truth``, ``said``, ``large`` and ``small`` (the texts), ``shade`` (0 to 1, or
-1 to 1 for differences) and ``quiet`` (1 where the cell must not draw the eye).
"""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.figure import ink, layered
from dashboard.theme import Look, Tint, turning_point

CELL = "cell"
"""Name of the selection; its fields are ``truth`` and ``said``."""

QUIET = alt.datum.quiet == 1


def confusion_matrix(
    frame: pd.DataFrame,
    look: Look,
    *,
    order: tuple[str, ...],
    tint: Tint,
    axes: tuple[str, str],
    height: int = 190,
    large: int = 22,
) -> alt.LayerChart:
    """One matrix on a sequential scale: the background at 0, ``tint`` at 1.

    Args:
        frame: K x K cells.
        look: light or dark.
        order: the K classes, the same down and across.
        tint: of a share of 1.
        axes: titles of the truth axis and of the said axis.
        height: of the matrix in pixels.
        large: font size of the larger text.
    """
    colour = tint.colour(look)
    scale = alt.Scale(domain=[0, 1], range=[look.background, colour], clamp=True, interpolate="rgb")
    fill = alt.Color("shade:Q", scale=scale, legend=None).condition(test=QUIET, value=look.neutral)
    deep = (alt.datum.shade >= turning_point(colour, look)) & ~QUIET
    return _matrix(frame, look, fill=fill, deep=deep, order=order, axes=axes, height=height, large=large)


def difference_matrix(
    frame: pd.DataFrame,
    look: Look,
    *,
    order: tuple[str, ...],
    axes: tuple[str, str],
    reach: float = 0.25,
    height: int = 190,
    large: int = 18,
) -> alt.LayerChart:
    """What the second run does more (accent) or less (amber) often, on a diverging scale around zero.

    Args:
        frame: K x K cells; ``shade`` is the difference of shares, -1 to 1.
        look: light or dark.
        order: the K classes.
        axes: titles of the truth axis and of the said axis.
        reach: the difference that takes the full colour.
        height: of the matrix in pixels.
        large: font size of the larger text.
    """
    ends = [look.fewer, look.background, look.accent]
    scale = alt.Scale(domain=[-reach, 0, reach], range=ends, clamp=True, interpolate="rgb")
    fill = alt.Color("shade:Q", scale=scale, legend=None)
    more, fewer = (reach * turning_point(colour, look) for colour in (look.accent, look.fewer))
    deep = (alt.datum.shade >= more) | (alt.datum.shade <= -fewer)
    return _matrix(frame, look, fill=fill, deep=deep, order=order, axes=axes, height=height, large=large)


def _matrix(
    frame: pd.DataFrame,
    look: Look,
    *,
    fill: object,
    deep: alt.Predicate,
    order: tuple[str, ...],
    axes: tuple[str, str],
    height: int,
    large: int,
) -> alt.LayerChart:
    truth, said = axes
    label = alt.Axis(orient="top", labelAngle=0, title=said, labelPadding=4, grid=False)
    x = alt.X("said:N", sort=list(order), axis=label, scale=alt.Scale(paddingInner=0.03, paddingOuter=0))
    y = alt.Y(
        "truth:N",
        sort=list(order),
        axis=alt.Axis(title=truth, grid=False),
        scale=alt.Scale(paddingInner=0.04, paddingOuter=0),
    )
    chosen = alt.selection_point(name=CELL, fields=["truth", "said"])
    tooltip = [
        alt.Tooltip("truth:N", title=truth),
        alt.Tooltip("said:N", title=said),
        alt.Tooltip("large:N", title="·"),
        alt.Tooltip("small:N", title="·"),
    ]
    base = alt.Chart().encode(x=x, y=y, tooltip=tooltip)
    cells = (
        base.mark_rect(cornerRadius=4, stroke=look.grid, strokeWidth=1, cursor="pointer")
        .encode(color=fill)
        .add_params(chosen)
    )
    words = ink(look, deep)
    first = base.mark_text(fontSize=large, fontWeight=600, dy=-8, cursor="pointer").encode(
        text="large:N", color=words
    )
    second = base.mark_text(fontSize=14, dy=14, cursor="pointer").encode(text="small:N", color=words)
    return layered(frame, height, cells, first, second)

"""Which things come together: a square of shares whose cells also hold their number on a telephone."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.figure import ink, layered
from dashboard.theme import Look, Tint, turning_point

STEP = 30
NAMES = 132
"""Pixels for the names of the rows."""
LETTER = 8
"""Pixels of a letter at most, on average over a name."""


def pairs(
    frame: pd.DataFrame, look: Look, *, order: tuple[str, ...], tint: Tint, axis: str, reach: float
) -> alt.LayerChart:
    """Of what the row names, how many of 100 have what the column names; the diagonal is left empty.

    Args:
        frame: ``row``, ``column``, ``shade`` (the share, 0 to 1), ``text`` (of 100; empty on the diagonal)
            and ``words`` (tooltip).
        look: light or dark.
        order: top to bottom and left to right.
        tint: of a share of ``reach``.
        axis: title of the columns.
        reach: the share that takes the full colour.
    """
    colour = tint.colour(look)
    scale = alt.Scale(domain=[0, reach], range=[look.background, colour], clamp=True, interpolate="rgb")
    # Names lie where they fit between their columns, and stand where they do not.
    lie = f"width > {LETTER * max(map(len, order), default=0) * len(order)}"
    angle, align = alt.ExprRef(expr=f"{lie} ? 0 : -90"), alt.ExprRef(expr=f"{lie} ? 'center' : 'left'")
    top = alt.Axis(orient="top", title=axis, labelAngle=angle, grid=False, labelLimit=NAMES, labelAlign=align)
    gap = alt.Scale(paddingInner=0.06, paddingOuter=0)
    base = alt.Chart().encode(
        x=alt.X("column:N", sort=list(order), axis=top, scale=gap),
        y=alt.Y(
            "row:N", sort=list(order), axis=alt.Axis(title=None, grid=False, labelLimit=NAMES), scale=gap
        ),
        tooltip=[alt.Tooltip("words:N", title="·")],
    )
    deep = alt.datum.shade >= reach * turning_point(colour, look)
    shades = base.mark_rect(cornerRadius=2, stroke=look.grid, strokeWidth=1).encode(
        color=alt.Color("shade:Q", scale=scale, legend=None)
    )
    numbers = base.mark_text().encode(text="text:N", color=ink(look, deep))
    return layered(frame, STEP * max(1, len(order)) + NAMES, shades, numbers)

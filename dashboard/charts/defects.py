"""Defect by defect: the baseline in grey, the best pretraining in the accent colour, one row a defect."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.figure import layered
from dashboard.theme import Look


def defect_by_defect(
    frame: pd.DataFrame,
    look: Look,
    *,
    order: tuple[str, ...],
    axis: str,
    domain: tuple[float, float] = (0, 100),
    room: int = 130,
) -> alt.LayerChart:
    """Reference and challenger of each defect on one axis.

    Args:
        frame: a row a defect and side: ``defect``, ``side`` (``reference`` or ``challenger``), ``value``,
            ``low``, ``high`` (the interval), ``text`` (the value), ``gap`` (the difference in words, in a
            column on the right), ``name`` (the side's direct label, on the top row alone) and ``end``
            (which end of the name stands at its point).
        look: light or dark.
        order: the defects, top to bottom.
        axis: title of the axis: what and unit.
        domain: ends of the axis.
        room: pixels for the differences on the right.
    """
    y = alt.Y("defect:N", sort=list(order), axis=alt.Axis(title=None, labelPadding=10, grid=True))
    x = alt.X(
        "value:Q", title=axis, scale=alt.Scale(domain=list(domain), nice=False), axis=alt.Axis(tickCount=5)
    )
    side = alt.Color(
        "side:N",
        scale=alt.Scale(domain=["reference", "challenger"], range=[look.reference, look.accent]),
        legend=None,
    )
    tooltip = [
        alt.Tooltip("defect:N", title="Defect"),
        alt.Tooltip("text:N", title="Value"),
        alt.Tooltip("gap:N", title="Difference"),
    ]
    base = alt.Chart().encode(y=y)
    gap = base.mark_line(color=look.muted, strokeWidth=1.5).encode(x=x, detail="defect:N")
    whiskers = base.mark_rule(strokeWidth=6, opacity=0.28).encode(
        x=alt.X("low:Q", title=axis), x2="high:Q", color=side
    )
    points = base.mark_point(size=150, opacity=1).encode(x=x, color=side, tooltip=tooltip)
    named = base.encode(x=x, text="name:N", color=side)
    left = named.transform_filter(alt.datum.end == "left").mark_text(
        align="left", dx=-8, dy=-20, fontWeight=600
    )
    right = named.transform_filter(alt.datum.end == "right").mark_text(
        align="right", dx=8, dy=-20, fontWeight=600
    )
    words = base.mark_text(align="left", dx=10, fontSize=14).encode(
        x=alt.value("width"), text="gap:N", color=alt.value(look.text)
    )
    height = 44 * max(1, len(order)) + 20
    chart = layered(frame, height, gap, whiskers, points, left, right, words)
    return chart.properties(padding={"left": 4, "top": 24, "bottom": 4, "right": room})

"""Defect by defect: the baseline as a grey ring, the best pretraining as a dot in the accent colour."""

from __future__ import annotations

import json

import altair as alt
import pandas as pd

from dashboard.figure import layered
from dashboard.theme import Look

ROW = 58
"""Pixels a defect: its name and the difference above, the points below them."""
AXIS = 48


def defect_by_defect(
    frame: pd.DataFrame,
    look: Look,
    *,
    order: tuple[str, ...],
    axis: str,
    domain: tuple[float, float] = (0, 100),
    sides: tuple[tuple[str, str], ...] = (("reference", ""), ("challenger", "")),
) -> alt.LayerChart:
    """Reference and challenger of each defect on one axis.

    Names stand above their rows and not beside them, so that the chart also fits a telephone. The sides are
    named in a line above all rows: beside points that may lie anywhere no name has a safe place.

    Args:
        frame: a row a defect and side: ``defect``, ``side`` (``reference`` or ``challenger``), ``value``,
            ``low``, ``high`` (the interval), ``text`` (the value), ``gap`` (the difference in words) and
            ``heading`` (the defect's name, on one of its rows).
        look: light or dark.
        order: the defects, top to bottom.
        axis: title of the axis: what and unit.
        domain: ends of the axis.
        sides: those that have rows, and their names; a layer without any row would be announced as a picture
            without a name.
    """
    names = dict(sides)
    y = alt.Y("defect:N", sort=list(order), axis=None)
    x = alt.X(
        "value:Q", title=axis, scale=alt.Scale(domain=list(domain), nice=False), axis=alt.Axis(tickCount=5)
    )
    paint = {"reference": look.reference, "challenger": look.accent}
    paints = alt.Scale(domain=list(names), range=[paint[side] for side in names])
    side = alt.Color("side:N", scale=paints, legend=_key(names) if len(names) > 1 else None)
    tooltip = [
        alt.Tooltip("defect:N", title="Defect"),
        alt.Tooltip("text:N", title="Value"),
        alt.Tooltip("gap:N", title="Difference"),
    ]
    base = alt.Chart().encode(y=y)
    gap = base.mark_line(color=look.muted, strokeWidth=1.5).encode(x=x, detail="defect:N")
    whisker = base.encode(x=alt.X("low:Q", title=axis), x2="high:Q", color=side)
    # Two intervals stand above and below each other, one alone on its point.
    apart = 5 if len(names) > 1 else 0
    upper = whisker.transform_filter(alt.datum.side == "reference").mark_rule(
        strokeWidth=5, opacity=0.3, yOffset=-apart, aria=False
    )
    lower = whisker.transform_filter(alt.datum.side == "challenger").mark_rule(
        strokeWidth=5, opacity=0.3, yOffset=apart, aria=False
    )
    points = base.encode(x=x, color=side, tooltip=tooltip)
    # The reference is a ring around the dot, so that both are seen where they agree.
    ring = points.transform_filter(alt.datum.side == "reference").mark_point(
        filled=False, size=210, strokeWidth=3, opacity=1
    )
    dot = points.transform_filter(alt.datum.side == "challenger").mark_point(size=120, opacity=1)
    heading = base.mark_text(align="left", dy=-20).encode(
        x=alt.value(0), text="heading:N", color=alt.value(look.text)
    )
    words = base.mark_text(align="right", dy=-20, fontWeight=600).encode(
        x=alt.value("width"), text="gap:N", color=alt.value(look.text)
    )
    height = ROW * max(1, len(order)) + AXIS
    marks = [mark for name, mark in (("reference", ring), ("challenger", dot)) if name in names]
    chart = layered(frame, height, gap, upper, lower, *marks, heading, words)
    return chart.properties(padding={"left": 4, "top": 4, "bottom": 4, "right": 12})


def _key(names: dict[str, str]) -> alt.Legend:
    """What the colours of the sides mean."""
    return alt.Legend(
        title=None, orient="top", direction="horizontal", labelExpr=f"{json.dumps(names)}[datum.value]",
        labelLimit=320, symbolType="circle", symbolSize=130, symbolOpacity=1, columnPadding=24, offset=14,
    )  # fmt: skip

"""Bars with intervals around zero, their values in words beside them."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.figure import layered
from dashboard.theme import Look

STEP = 32
AXIS = 40
ROOM = 64
"""Pixels for the words at the right end."""


def interval_bars(
    frame: pd.DataFrame, look: Look, *, order: tuple[str, ...], axis: str, domain: tuple[float, float]
) -> alt.LayerChart:
    """One bar a row.

    Args:
        frame: ``name``, ``value``, ``low`` and ``high`` (the interval; empty where there is none), ``text``
            (the value), ``words`` (the tooltip) and ``tone``: ``accent`` (argued for), ``reference``,
            ``fewer`` (below what it is compared with).
        look: light or dark.
        order: the names, top to bottom.
        axis: title of the axis: what and unit.
        domain: ends of the axis; holds 0.
    """
    tones = alt.Scale(
        domain=["accent", "reference", "fewer"], range=[look.accent, look.reference, look.fewer]
    )
    base = alt.Chart().encode(
        y=alt.Y("name:N", sort=list(order), axis=alt.Axis(title=None, grid=False, labelLimit=190)),
        tooltip=[alt.Tooltip("words:N", title="·")],
    )
    scale = alt.Scale(domain=list(domain), nice=False, clamp=True)
    x = alt.X("value:Q", title=axis, scale=scale, axis=alt.Axis(tickCount=3, grid=False, labels=False))
    bars = base.mark_bar(height=16, cornerRadiusEnd=3).encode(
        x=x, color=alt.Color("tone:N", scale=tones, legend=None)
    )
    # Rules say nothing that the words do not; without a row they must not be announced.
    ends = base.mark_rule(strokeWidth=2, color=look.text, aria=False).encode(
        x=alt.X("low:Q", title=axis), x2="high:Q"
    )
    zero = alt.Chart().mark_rule(color=look.muted, strokeWidth=1, aria=False).encode(x=alt.datum(0))
    words = base.mark_text(align="left", dx=8, fontWeight=600).encode(x=alt.value("width"), text="text:N")
    chart = layered(frame, STEP * max(1, len(order)) + AXIS, bars, zero, ends, words)
    return chart.properties(padding={"left": 4, "top": 4, "bottom": 4, "right": ROOM})

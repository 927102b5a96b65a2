"""What changed between two runs: put wrong to the left of zero, put right to its right."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.figure import layered
from dashboard.theme import Look

ROW = 54
AXIS = 40


def fixed_and_broken(frame: pd.DataFrame, look: Look, *, order: tuple[str, ...], axis: str) -> alt.LayerChart:
    """Two bars a row, their counts at their ends.

    Names stand above their rows and not beside them, so that the chart also fits a telephone.

    Args:
        frame: a row a name and side: ``name``, ``side`` (``fixed`` or ``broken``), ``n`` (negative where
            broken), ``text`` (the count), ``words`` (the tooltip), ``heading`` and ``gap`` (the name and the
            net change, each on one of its rows).
        look: light or dark.
        order: the names, top to bottom.
        axis: title of the axis: what and unit.
    """
    sides = alt.Scale(domain=["fixed", "broken"], range=[look.accent, look.fewer])
    base = alt.Chart().encode(y=alt.Y("name:N", sort=list(order), axis=None))
    # A count needs room beyond the end of its bar.
    scale = alt.Scale(padding=34, nice=False, zero=True)
    x = alt.X("n:Q", title=axis, scale=scale, axis=alt.Axis(labels=False, grid=False))
    bars = base.mark_bar(height=16, cornerRadiusEnd=3, yOffset=9).encode(
        x=x,
        color=alt.Color("side:N", scale=sides, legend=None),
        tooltip=[alt.Tooltip("words:N", title="·")],
    )
    fixed = base.transform_filter(alt.datum.side == "fixed").mark_text(
        align="left", dx=6, dy=9, fontWeight=600
    )
    broken = base.transform_filter(alt.datum.side == "broken").mark_text(
        align="right", dx=-6, dy=9, fontWeight=600
    )
    zero = alt.Chart().mark_rule(color=look.muted, strokeWidth=1, aria=False).encode(x=alt.datum(0))
    heading = base.mark_text(align="left", dy=-15).encode(
        x=alt.value(0), text="heading:N", color=alt.value(look.text)
    )
    gap = base.mark_text(align="right", dy=-15, fontWeight=600).encode(
        x=alt.value("width"), text="gap:N", color=alt.value(look.text)
    )
    texts = [part.encode(x=x, text="text:N", color=alt.value(look.text)) for part in (fixed, broken)]
    return layered(frame, ROW * max(1, len(order)) + AXIS, bars, *texts, zero, heading, gap)

"""How common each defect is in each group: a dot a group, a tick at the mean of all."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.figure import haloed, layered
from dashboard.theme import Look, Tint

ROW = 52
AXIS = 48


def group_rates(
    frame: pd.DataFrame, look: Look, *, order: tuple[str, ...], tints: tuple[Tint, ...], axis: str
) -> alt.LayerChart:
    """Groups on one line a defect; a group that stands out carries its name.

    Args:
        frame: ``defect``, ``rate`` (of 100), ``mean`` (of 100), ``n`` (fruit), ``words`` (tooltip), ``label``
            ``heading`` (the defect's name, on one of its rows) and ``end`` (which end of ``label`` is at its
            dot).
        look: light or dark.
        order: the defects, top to bottom.
        tints: their colours.
        axis: title of the axis: what and unit.
    """
    colours = alt.Scale(domain=list(order), range=[tint.colour(look) for tint in tints])
    base = alt.Chart().encode(y=alt.Y("defect:N", sort=list(order), axis=None))
    x = alt.X("rate:Q", title=axis, axis=alt.Axis(tickCount=5))
    dots = base.mark_point(opacity=0.55, yOffset=6).encode(
        x=x,
        color=alt.Color("defect:N", scale=colours, legend=None),
        size=alt.Size("n:Q", scale=alt.Scale(type="sqrt", range=[30, 160]), legend=None),
        tooltip=[alt.Tooltip("words:N", title="·")],
    )
    mean = base.mark_tick(thickness=3, size=24, color=look.text, yOffset=6).encode(
        x=alt.X("mean:Q", title=axis)
    )
    heading = base.mark_text(align="left", dy=-16).encode(
        x=alt.value(0), text="heading:N", color=alt.value(look.text)
    )
    named = base.encode(x=x, text="label:N", color=alt.value(look.text))
    # Names stand where there are fewer dots: right of their own, unless that is near the edge.
    words = haloed(
        named,
        look,
        align=alt.ExprRef(expr="datum.end === 'left' ? 'left' : 'right'"),
        dx=alt.ExprRef(expr="datum.end === 'left' ? 9 : -9"),
        dy=6,
    )
    chart = layered(frame, ROW * max(1, len(order)) + AXIS, dots, mean, heading, *words)
    return chart.properties(padding={"left": 4, "top": 4, "bottom": 4, "right": 12})

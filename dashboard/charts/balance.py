"""How many fruit have each defect, in the defect's own colour."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.figure import layered
from dashboard.theme import Look, Tint


def balance(
    frame: pd.DataFrame,
    look: Look,
    *,
    order: tuple[str, ...],
    tints: tuple[Tint, ...],
    axis: str,
    room: int = 90,
) -> alt.LayerChart:
    """One bar a defect.

    Args:
        frame: ``defect``, ``positives`` and ``text`` (the number and its share).
        look: light or dark.
        order: the defects, top to bottom.
        tints: their colours.
        axis: title of the axis.
        room: pixels for the texts on the right.
    """
    colours = alt.Scale(domain=list(order), range=[tint.colour(look) for tint in tints])
    base = alt.Chart().encode(
        y=alt.Y("defect:N", sort=list(order), axis=alt.Axis(title=None)),
        x=alt.X("positives:Q", title=axis, axis=alt.Axis(labels=False, grid=False)),
    )
    bars = base.mark_bar(height=14, cornerRadiusEnd=3).encode(
        color=alt.Color("defect:N", scale=colours, legend=None)
    )
    words = base.mark_text(align="left", dx=6).encode(text="text:N")
    chart = layered(frame, 26 * max(1, len(order)), bars, words)
    return chart.properties(padding={"left": 4, "top": 4, "bottom": 4, "right": room})

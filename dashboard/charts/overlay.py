"""Curves of several runs over each other: a colour a run, a band over its folds."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.figure import layered
from dashboard.theme import EXTERNAL, INTERNAL, OTHER, Look

MOST_RUNS = 8
DASHES = ([1, 0], [6, 3])
"""With more than four runs colours come twice, the second time on a dashed line."""


def run_colours(look: Look, n: int) -> list[str]:
    """Colours of ``n`` runs, the first in the accent colour."""
    four = [look.accent, look.family(INTERNAL)[1], look.family(EXTERNAL)[1], look.family(OTHER)[1]]
    return [four[i % len(four)] for i in range(n)]


def overlaid(
    frame: pd.DataFrame, look: Look, *, axes: tuple[str, str], runs: tuple[str, ...], height: int = 260
) -> alt.LayerChart:
    """One metric over the epochs.

    Args:
        frame: ``epoch``, ``value``, ``low``, ``high`` and ``run``.
        look: light or dark.
        axes: titles of x and y.
        runs: their labels, in order.
        height: in pixels.
    """
    colours = alt.Scale(domain=list(runs), range=run_colours(look, len(runs)))
    dashes = alt.Scale(domain=list(runs), range=[DASHES[(i // 4) % 2] for i in range(len(runs))])
    legend = alt.Legend(title=None, orient="top", columns=1, labelLimit=330, symbolStrokeWidth=3)
    base = alt.Chart().encode(
        x=alt.X("epoch:Q", title=axes[0], axis=alt.Axis(tickMinStep=1, format="d", grid=False)),
        color=alt.Color("run:N", scale=colours, legend=legend),
    )
    y = alt.Y("value:Q", title=axes[1], scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4))
    band = base.mark_area(opacity=0.16, line=False).encode(y=alt.Y("low:Q", title=axes[1]), y2="high:Q")
    line = base.mark_line().encode(
        y=y, strokeDash=alt.StrokeDash("run:N", scale=dashes, legend=None), detail="run:N"
    )
    tooltip = [
        alt.Tooltip("run:N", title="·"),
        alt.Tooltip("epoch:Q", title=axes[0]),
        alt.Tooltip("value:Q", title=axes[1], format=".3~g"),
    ]
    dots = base.mark_point(opacity=0, size=120).encode(y=y, tooltip=tooltip)
    return layered(frame, height, band, line, dots)

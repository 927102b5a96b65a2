"""Training curves of one run: every fold a line, training in grey, validation in the accent colour."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.figure import haloed, layered
from dashboard.theme import Look


def training_curve(
    frame: pd.DataFrame, look: Look, *, axes: tuple[str, str], splits: tuple[str, ...], height: int = 220
) -> alt.LayerChart:
    """One metric over the epochs.

    Args:
        frame: ``epoch``, ``value``, ``fold``, ``split`` and ``label`` (the split's name at the end of its
            longest line, else empty).
        look: light or dark.
        axes: titles of x and y.
        splits: training first.
        height: in pixels.
    """
    colours = [look.reference, look.accent, look.text][: len(splits)] if len(splits) > 1 else [look.accent]
    side = alt.Color("split:N", scale=alt.Scale(domain=list(splits), range=colours), legend=None)
    base = alt.Chart().encode(
        x=alt.X("epoch:Q", title=axes[0], axis=alt.Axis(tickMinStep=1, format="d", grid=False)),
        y=alt.Y("value:Q", title=axes[1], scale=alt.Scale(zero=False)),
        color=side,
    )
    tooltip = [
        alt.Tooltip("split:N", title="Part"),
        alt.Tooltip("fold:N", title="Fold"),
        alt.Tooltip("epoch:Q", title=axes[0]),
        alt.Tooltip("value:Q", title=axes[1], format=".3~g"),
    ]
    lines = base.mark_line(opacity=0.75, strokeWidth=2).encode(detail="fold:N")
    dots = base.mark_point(opacity=0, size=120).encode(tooltip=tooltip)
    words = haloed(base.encode(text="label:N"), look, align="right", dy=-12, fontWeight=600)
    return layered(frame, height, lines, dots, *words)

"""Curves of one defect: precision against recall, calibration, and cost against the threshold."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.figure import haloed, layered
from dashboard.theme import Look, Tint

SHARE = alt.Scale(domain=[0, 1])
PERCENT = ".0%"


def precision_recall(
    frame: pd.DataFrame, look: Look, *, tint: Tint, axes: tuple[str, str], height: int = 210
) -> alt.LayerChart:
    """How many alarms are right (up) as more of the defective fruit are found (right).

    Args:
        frame: ``recall``, ``precision`` and ``part``: ``curve``, ``chosen`` (where the run decided, with
            its ``label``) or ``chance`` (the share of defective fruit).
        look: light or dark.
        tint: of the defect.
        axes: titles of x and y.
        height: in pixels.
    """
    x = alt.X("recall:Q", title=axes[0], scale=SHARE, axis=alt.Axis(format=PERCENT, tickCount=3))
    y = alt.Y("precision:Q", title=axes[1], scale=SHARE, axis=alt.Axis(format=PERCENT, tickCount=3))
    base = alt.Chart().encode(x=x, y=y)
    curve = base.transform_filter(alt.datum.part == "curve").mark_line(
        color=tint.colour(look), interpolate="step-before"
    )
    chance = base.transform_filter(alt.datum.part == "chance").mark_line(
        color=look.muted, strokeDash=[4, 4], strokeWidth=1.5
    )
    chosen = base.transform_filter(alt.datum.part == "chosen")
    dot = chosen.mark_point(color=look.text, size=130, opacity=1)
    words = chosen.mark_text(align="right", dx=-10, dy=12, baseline="top").encode(text="label:N")
    return layered(frame, height, chance, curve, dot, words)


def calibration(
    frame: pd.DataFrame, look: Look, *, tint: Tint, axes: tuple[str, str], height: int = 210
) -> alt.LayerChart:
    """How often fruit with a given score do have the defect; on the dashed line the score means what it says.

    Args:
        frame: ``score``, ``rate``, ``n`` of each bin (``part`` = ``bin``) and the two ends of the diagonal
            (``part`` = ``ideal``).
        look: light or dark.
        tint: of the defect.
        axes: titles of x and y.
        height: in pixels.
    """
    x = alt.X("score:Q", title=axes[0], scale=SHARE, axis=alt.Axis(format=PERCENT, tickCount=3))
    y = alt.Y("rate:Q", title=axes[1], scale=SHARE, axis=alt.Axis(format=PERCENT, tickCount=3))
    base = alt.Chart().encode(x=x, y=y)
    ideal = base.transform_filter(alt.datum.part == "ideal").mark_line(
        color=look.muted, strokeDash=[4, 4], strokeWidth=1.5
    )
    bins = base.transform_filter(alt.datum.part == "bin")
    tooltip = [
        alt.Tooltip("score:Q", title=axes[0], format=PERCENT),
        alt.Tooltip("rate:Q", title=axes[1], format=PERCENT),
        alt.Tooltip("n:Q", title="Fruit", format=","),
    ]
    line = bins.mark_line(color=tint.colour(look), strokeWidth=1.5)
    dots = bins.mark_point(color=tint.colour(look), opacity=1).encode(
        size=alt.Size("n:Q", scale=alt.Scale(type="sqrt", range=[30, 260]), legend=None), tooltip=tooltip
    )
    return layered(frame, height, ideal, line, dots)


def cost_curve(
    frame: pd.DataFrame, look: Look, *, tint: Tint, axes: tuple[str, str], height: int = 210
) -> alt.LayerChart:
    """What errors cost as the threshold moves.

    Args:
        frame: ``threshold``, ``cost`` (per 1,000 fruit) and ``part``: ``curve``, ``cheapest`` (with a
            ``label``), ``now`` (two ends of a level line) or ``chosen``.
        look: light or dark.
        tint: of the defect.
        axes: titles of x and y.
        height: in pixels.
    """
    x = alt.X("threshold:Q", title=axes[0], scale=SHARE, axis=alt.Axis(format=".1f", tickCount=5))
    y = alt.Y("cost:Q", title=axes[1], scale=alt.Scale(zero=True), axis=alt.Axis(format=",.0f", tickCount=3))
    base = alt.Chart().encode(x=x, y=y)
    curve = base.transform_filter(alt.datum.part == "curve").mark_line(color=tint.colour(look))
    now = base.transform_filter(alt.datum.part == "now").mark_line(
        color=look.muted, strokeDash=[4, 4], strokeWidth=1.5
    )
    cheapest = base.transform_filter(alt.datum.part == "cheapest")
    ring = cheapest.mark_point(color=look.text, filled=False, strokeWidth=3, size=140, opacity=1)
    # Centred above the ring, except near an end of the axis, where half of the words would be cut.
    words = haloed(
        cheapest.encode(text="label:N"),
        look,
        align=alt.ExprRef(expr="datum.threshold < 0.2 ? 'left' : datum.threshold > 0.8 ? 'right' : 'center'"),
        dy=-16,
        baseline="bottom",
    )
    # Often without a row; an empty layer must not be announced.
    chosen = base.transform_filter(alt.datum.part == "chosen").mark_point(
        color=look.text, size=130, opacity=1, aria=False
    )
    return layered(frame, height, now, curve, ring, *words, chosen)

"""The search: its history, slices through it, lines across all settings, and cost against score."""

from __future__ import annotations

import json
from typing import Literal

import altair as alt
import pandas as pd

from dashboard.figure import haloed, layered
from dashboard.theme import Look

SCORES = alt.Scale(zero=False, padding=14)
DECIMALS = ".4~f"
"""As many as a score needs, also where all trials have the same one."""
TELEPHONE = 520
"""Pixels below which a chart stands on a telephone."""


def history(frame: pd.DataFrame, look: Look, *, axes: tuple[str, str], height: int = 320) -> alt.LayerChart:
    """Every finished trial in grey, the best so far in the accent colour.

    Args:
        frame: ``trial``, ``score``, ``best``, ``words`` (tooltip) and ``label`` (on the last row).
        look: light or dark.
        axes: titles of x and y.
        height: in pixels.
    """
    span = alt.Scale(zero=False, nice=False, padding=14)
    x = alt.X("trial:Q", title=axes[0], scale=span, axis=alt.Axis(tickMinStep=1, format="d", grid=False))
    tooltip = [alt.Tooltip("words:N", title="·")]
    base = alt.Chart().encode(x=x)
    score = alt.Y("score:Q", title=axes[1], scale=SCORES, axis=alt.Axis(tickCount=5, format=DECIMALS))
    best = alt.Y("best:Q", title=axes[1])
    dots = base.mark_point(size=55, opacity=0.8, color=look.reference).encode(y=score, tooltip=tooltip)
    line = base.mark_line(interpolate="step-after", color=look.accent).encode(y=best)
    words = haloed(
        base.encode(y=best, text="label:N"), look, align="right", dy=-14, fontWeight=600, color=look.accent
    )
    return layered(frame, height, dots, line, *words)


def setting(
    frame: pd.DataFrame,
    look: Look,
    *,
    title: str,
    scale: Literal["linear", "log", "names"] = "linear",
    height: int = 190,
) -> alt.LayerChart:
    """One setting against the score, the best trial in the accent colour.

    Args:
        frame: ``value`` (a number or a name), ``score``, ``best`` (1 on one row) and ``words`` (tooltip).
        look: light or dark.
        title: of the axis of the score; the setting's name is the figure's title.
        scale: ``linear``, ``log`` or ``names``.
        height: in pixels.
    """
    if scale == "names":
        x = alt.X("value:N", title=None, axis=alt.Axis(labelAngle=0, grid=False, labelLimit=90))
    else:
        axis = alt.Axis(tickCount=4, format=".3~g", grid=False)
        span = alt.Scale(type=scale, zero=False, nice=False, padding=12)
        x = alt.X("value:Q", title=None, scale=span, axis=axis)
    y = alt.Y("score:Q", title=title, scale=SCORES, axis=alt.Axis(tickCount=4, format=DECIMALS))
    base = alt.Chart().encode(x=x, y=y, tooltip=[alt.Tooltip("words:N", title="·")])
    dots = base.transform_filter(alt.datum.best == 0).mark_point(size=45, opacity=0.7, color=look.reference)
    best = base.transform_filter(alt.datum.best == 1).mark_point(size=130, opacity=1, color=look.accent)
    return layered(frame, height, dots, best)


def parallel(frame: pd.DataFrame, look: Look, *, order: tuple[str, ...], height: int = 330) -> alt.LayerChart:
    """A line a trial across all settings; the better, the more of the accent colour.

    Args:
        frame: ``trial``, ``axis``, ``place`` (0 to 1), ``shade`` (0 worst to 1 best), ``part`` (``line`` or
            ``tick``) and ``text`` (the values written on an axis).
        look: light or dark.
        order: the axes, left to right; the score last.
        height: in pixels.
    """
    # On a telephone the axes stand too close for values; their names turn up.
    angle = alt.ExprRef(expr=f"width < {TELEPHONE} ? -70 : -25")
    label = alt.Axis(orient="top", title=None, labelAngle=angle, labelLimit=130, labelAlign="left", grid=True)
    x = alt.X("axis:N", sort=list(order), axis=label, scale=alt.Scale(type="point", padding=0.4))
    y = alt.Y("place:Q", axis=None, scale=alt.Scale(domain=[-0.06, 1.06], nice=False))
    ramp = alt.Scale(domain=[0, 1], range=[look.grid, look.accent], interpolate="rgb")
    base = alt.Chart().encode(x=x, y=y)
    lines = base.transform_filter(alt.datum.part == "line").mark_line(strokeWidth=1.6, opacity=0.75)
    lines = lines.encode(
        detail="trial:N", color=alt.Color("shade:Q", scale=ramp, legend=None), order="axis:N"
    )
    # The order along a line follows the axes as they are listed, not their names.
    lines = lines.transform_calculate(step=f"indexof({json.dumps(list(order))}, datum.axis)").encode(
        order="step:Q"
    )
    ticks = base.transform_filter(alt.datum.part == "tick")
    shown = alt.ExprRef(expr=f"width < {TELEPHONE} ? 0 : 1")
    # So near to its axis that what is left of a line between them does not read as a minus sign.
    words = haloed(ticks.encode(text="text:N"), look, align="left", dx=3, opacity=shown)
    return layered(frame, height, lines, *words)


def pareto(frame: pd.DataFrame, look: Look, *, axes: tuple[str, str], height: int = 300) -> alt.LayerChart:
    """Time against score; the trials that no other beats in both lie on the line.

    Args:
        frame: ``minutes``, ``score``, ``front`` (1 or 0), ``words`` (tooltip) and ``label``.
        look: light or dark.
        axes: titles of x and y.
        height: in pixels.
    """
    x = alt.X("minutes:Q", title=axes[0], scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5, grid=False))
    y = alt.Y("score:Q", title=axes[1], scale=SCORES, axis=alt.Axis(tickCount=5, format=DECIMALS))
    base = alt.Chart().encode(x=x, y=y)
    tooltip = [alt.Tooltip("words:N", title="·")]
    front = base.transform_filter(alt.datum.front == 1)
    line = front.mark_line(interpolate="step-after", color=look.accent, strokeWidth=1.5)
    others = base.transform_filter(alt.datum.front == 0).mark_point(
        size=50, opacity=0.7, color=look.reference
    )
    best = front.mark_point(size=110, opacity=1, color=look.accent)
    # What lies left has its words to the right, where the axis leaves room for them.
    left = "datum.minutes < 0.3 * domain('x')[1]"
    words = haloed(
        front.encode(text="label:N"),
        look,
        align=alt.ExprRef(expr=f"{left} ? 'left' : 'right'"),
        dx=alt.ExprRef(expr=f"{left} ? 12 : -10"),
        dy=alt.ExprRef(expr=f"{left} ? 14 : -10"),
        fontWeight=600,
    )
    points = [mark.encode(tooltip=tooltip) for mark in (others, best)]
    return layered(frame, height, line, *points, *words)

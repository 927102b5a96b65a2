"""Lines with bands: what is argued for in the accent colour, the reference in grey, the rest thin."""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt
import pandas as pd

from dashboard.figure import haloed, layered
from dashboard.theme import Look

FLATTEST = 0.02
"""Least height of a figure as a share of its values."""


def bands(
    frame: pd.DataFrame,
    look: Look,
    *,
    axes: tuple[str, str],
    log: bool = False,
    ticks: tuple[float, ...] = (),
    domain: tuple[float, float] | None = None,
    height: int = 340,
) -> alt.LayerChart:
    """One line a series.

    Args:
        frame: ``x``, ``value``, ``low`` and ``high`` (the band; empty where there is none), ``series``,
            ``tone`` (``accent``, ``reference``, ``other`` or ``fewer``), ``label`` (the name of a line, on
            one of its points), ``side`` (whether it stands ``above``, ``below`` or ``right``) and ``words``
            (tooltip).
        look: light or dark.
        axes: titles of x and y.
        log: whether x is drawn on a logarithmic scale.
        ticks: values of x that are written; empty = as it comes.
        domain: least and greatest y, see ``flat_domain``; None = from the lowest to the highest value.
        height: in pixels.
    """
    tones = alt.Scale(
        domain=["accent", "reference", "other", "fewer"],
        range=[look.accent, look.reference, look.muted, look.fewer],
    )
    colour = alt.Color("tone:N", scale=tones, legend=None)
    if log:
        axis = alt.Axis(values=list(ticks), format="~g", labelExpr="datum.label + ' %'", grid=False)
        x = alt.X("x:Q", title=axes[0], scale=alt.Scale(type="log", nice=False), axis=axis)
    else:
        axis = alt.Axis(tickMinStep=1, format="d", grid=False)
        x = alt.X("x:Q", title=axes[0], scale=alt.Scale(zero=False, nice=False), axis=axis)
    scale = alt.Scale(zero=False) if domain is None else alt.Scale(zero=False, domain=list(domain))
    y = alt.Y("value:Q", title=axes[1], scale=scale, axis=alt.Axis(tickCount=5))
    base = alt.Chart().encode(x=x, color=colour, detail="series:N")
    area = base.mark_area(opacity=0.22, line=False).encode(y=alt.Y("low:Q", title=axes[1]), y2="high:Q")
    thin = alt.datum.tone == "other"
    quiet = base.transform_filter(thin).mark_line(strokeWidth=1.25, opacity=0.7).encode(y=y)
    loud = base.transform_filter(~thin).mark_line(strokeWidth=3).encode(y=y)
    dots = base.mark_point(opacity=0.9).encode(
        y=y,
        size=alt.SizeValue(60).condition(test=thin, value=40),
        tooltip=[alt.Tooltip("words:N", title="·")],
    )
    # A line that stopped early has room to its right.
    names = haloed(
        base.encode(y=y, text="label:N"),
        look,
        align=alt.ExprRef(expr="datum.side === 'right' ? 'left' : 'right'"),
        dx=alt.ExprRef(expr="datum.side === 'right' ? 10 : 0"),
        dy=alt.ExprRef(expr="{above: -16, below: 18, right: 0}[datum.side]"),
        fontWeight=600,
    )
    return layered(frame, height, area, quiet, loud, dots, *names)


def flat_domain(frame: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Options of ``bands`` under which what hardly changes stays flat instead of filling the figure.

    They are options, not the chart's own doing: a chart is drawn once, without rows.

    Args:
        frame: of ``bands``.

    Returns:
        ``domain``, or nothing where the values differ by ``FLATTEST`` or more.
    """
    low, high = _ends([frame])
    room = FLATTEST * max(abs(low), abs(high)) - (high - low)
    return {"domain": (low - room / 2, high + room / 2)} if room > 0 else {}


def shared_domain(frames: Sequence[pd.DataFrame]) -> dict[str, tuple[float, float]]:
    """Options of ``bands`` under which panels side by side have one scale, in whole tenths.

    Args:
        frames: of the panels.
    """
    low, high = _ends(frames)
    return {"domain": (math.floor(10 * low) / 10, math.ceil(10 * high) / 10)} if high > low else {}


def _ends(frames: Sequence[pd.DataFrame]) -> tuple[float, float]:
    """The least and the greatest value or end of a band; zeros where there is none."""
    columns = [frame[name] for frame in frames for name in ("value", "low", "high")]
    known = [float(x) for column in columns for x in pd.to_numeric(column, errors="coerce").dropna()]
    return min(known, default=0.0), max(known, default=0.0)

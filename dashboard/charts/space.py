"""Feature space: every fruit a point, coloured by what is known of it."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.figure import haloed, layered
from dashboard.theme import Look, Tint

BOX = "box"
"""Name of the selection by dragging; holds the ends of ``x`` and ``y``."""


def feature_space(
    frame: pd.DataFrame,
    look: Look,
    *,
    names: tuple[str, ...],
    paints: tuple[Tint | str, ...],
    title: str,
    group: str,
    height: int = 520,
) -> alt.LayerChart:
    """Points without axes: only nearness means anything.

    Args:
        frame: ``fruit``, ``x``, ``y``, ``colour`` (a name, or a number where there are no names), ``group``
            and ``label`` (written beside fruit that were searched for, else empty).
        look: light or dark.
        names: what a point can be called, in the order of the legend; empty = numbers on a sequential scale.
        paints: the colour of each name: a defect's, or the name of a colour of the look.
        title: what the colour says.
        group: how groups are called.
        height: in pixels.
    """
    bare = alt.Axis(labels=False, title=None, grid=False)
    span = alt.Scale(zero=False, nice=False, padding=14)
    base = alt.Chart().encode(x=alt.X("x:Q", axis=bare, scale=span), y=alt.Y("y:Q", axis=bare, scale=span))
    tooltip = [
        alt.Tooltip("fruit:N", title="Fruit"),
        alt.Tooltip("colour:N", title=title),
        alt.Tooltip("group:N", title=group),
    ]
    legend = alt.Legend(title=title, orient="top", columns=2, labelLimit=150, symbolOpacity=1)
    if names:
        colours = [
            paint.colour(look) if isinstance(paint, Tint) else getattr(look, paint) for paint in paints
        ]
        colour = alt.Color("colour:N", scale=alt.Scale(domain=list(names), range=colours), legend=legend)
    else:
        ramp = alt.Legend(title=title, orient="top", gradientLength=220)
        colour = alt.Color("colour:Q", scale=alt.Scale(scheme="viridis"), legend=ramp)
    box = alt.selection_interval(name=BOX, encodings=["x", "y"])
    # Nobody wants a thousand points read aloud; the page's words and the cards of the fruit say it.
    dots = base.mark_point(size=46, opacity=0.8, stroke=look.reference, strokeWidth=0.7, aria=False).encode(
        color=colour, tooltip=tooltip
    )
    named = base.transform_filter(alt.datum.label != "")
    rings = named.mark_point(filled=False, size=190, strokeWidth=2.5, color=look.text, opacity=1, aria=False)
    words = haloed(named.encode(text="label:N"), look, align="left", dx=11, fontWeight=600, aria=False)
    # One picture with one description: as drawing the box would leave parts that screen readers cannot name.
    return layered(frame, height, dots.add_params(box), rings, *words).properties(
        usermeta={"embedOptions": {"renderer": "canvas"}}
    )

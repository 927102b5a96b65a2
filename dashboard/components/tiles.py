"""Figures of one kind side by side, each under its own title, with one export for all of them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.components import figures
from dashboard.components.text import quiet, titled
from dashboard.export import Provenance
from dashboard.figure import Figure, Panels

NARROWEST = 280
"""Pixels below which a tile takes a row of its own."""


def tiles(together: Panels, stamp: Provenance, note: str = "") -> None:
    """Draw them.

    Args:
        together: title, figures and the rows of the CSV file.
        stamp: where they come from.
        note: how to read them; may be empty.
    """
    figures.head(together, stamp, together.name)
    if note:
        quiet(note)
    with st.grid(together.columns, min_column_width=NARROWEST, gap="medium"):
        for figure in together.figures:
            with st.container(gap="xxsmall"):
                titled(figure.title, figure.sentence)
                figures.chart(figure, f"tile-{figure.name}")


def side_by_side(
    name: str, title: str, sentence: str, shown: tuple[Figure, ...], columns: int = 3, width: int = 290
) -> Panels:
    """Figures as one, with the rows of all of them in one table; ``figure`` says which is whose."""
    table = pd.concat([figure.rows.assign(figure=figure.title) for figure in shown], ignore_index=True)
    return Panels(name, title, sentence, shown, columns, table, width)

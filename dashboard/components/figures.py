"""A figure on a page: its title, the export menu beside it, and the chart."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from dashboard import texts
from dashboard.components.basket import add_button
from dashboard.components.page import look
from dashboard.export import MIME, WRITERS, Provenance
from dashboard.figure import Figure, Panels
from dashboard.format import plain


def head(figure: Figure | Panels, stamp: Provenance, key: str) -> None:
    """Title on the left, export menu on the right. Files are made when they are asked for, not before."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**{plain(figure.title)}**", width="stretch")
        menu = st.popover(
            texts.EXPORT["button"],
            icon=":material/download:",
            type="tertiary",
            key=f"{key}-export",
            wrap=False,
        )
    with menu:
        for kind, write in WRITERS.items():
            st.download_button(
                texts.EXPORT[kind],
                data=partial(write, figure, stamp),
                file_name=f"{figure.name}.{kind}",
                mime=MIME[kind],
                key=f"{key}-{kind}",
                on_click="ignore",
                type="tertiary",
                width="stretch",
            )
        add_button(figure, stamp, key)


def chart(figure: Figure, key: str, on_cell: Callable[[], None] | None = None) -> None:
    """The chart alone.

    Args:
        figure: what to draw.
        key: of the element; a click on a cell is kept in the session under it.
        on_cell: called after a click on a cell.
    """
    st.vega_lite_chart(
        figure.spec(look()),
        theme=None,
        key=key,
        alt=f"{figure.title}. {figure.sentence}",
        on_select=on_cell or "ignore",
    )


def figure(shown: Figure, stamp: Provenance, key: str) -> None:
    """Title, exports and chart."""
    head(shown, stamp, key)
    chart(shown, key)

"""Putting a figure into the report, from anywhere: one click in its export menu."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard import texts
from dashboard.basket import Exhibit, freeze
from dashboard.export import Provenance
from dashboard.figure import Figure, Panels
from dashboard.format import plain, plural
from dashboard.loaders_findings import Annotations, StoreError, beside

WORDS = texts.REPORT
STORE = "store-path"
"""Key in the session of the path of the store that is shown."""


def remember(path: Path) -> None:
    """Say which store is shown, so that notes and basket are those beside it."""
    st.session_state[STORE] = str(path)


def notes_of_store() -> Annotations:
    """Notes and basket of the store that is shown."""
    return beside(Path(st.session_state[STORE]))


def add_button(figure: Figure | Panels, stamp: Provenance, key: str) -> None:
    """The entry of an export menu that puts the figure into the report."""
    st.button(
        WORDS["add"],
        key=f"{key}-add",
        icon=":material/library_add:",
        type="tertiary",
        width="stretch",
        on_click=_add,
        args=(Exhibit(figure, stamp),),
    )


def _add(exhibit: Exhibit) -> None:
    try:
        basket = notes_of_store()
        basket.put_into_basket(exhibit.figure.title, freeze(exhibit))
        n = basket.basket_size()
    except StoreError as error:
        st.toast(plain(str(error)), icon=":material/error:", duration="long")
        return
    held = plural(n, WORDS["figure"], WORDS["figure_many"])
    st.toast(plain(WORDS["added"].format(n=held)), icon=":material/check:")

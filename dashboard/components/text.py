"""Quiet text that still reads: Streamlit's own captions fade below the contrast that WCAG asks for."""

from __future__ import annotations

import streamlit as st

from dashboard.format import plain


def quiet(text: str, help_text: str | None = None) -> None:
    """A line of small grey text, whatever is in it shown as it is."""
    st.markdown(small(text), help=help_text)


def small(text: str) -> str:
    """The Markdown of ``quiet``, to be joined with other Markdown."""
    return f":small[:gray[{plain(text)}]]"


def titled(title: str, *lines: str) -> None:
    """A bold title with small grey lines below it, as one element: a page of panels has many."""
    st.markdown("  \n".join([f"**{plain(title)}**", *(small(line) for line in lines if line)]))

"""Tuning: what the search tried, what mattered, and whether it was worth the time."""

from __future__ import annotations

import streamlit as st

from dashboard import texts
from dashboard.components import figures, page
from dashboard.components.progress import nothing_yet
from dashboard.components.text import quiet
from dashboard.components.tiles import tiles
from dashboard.evidence import tuning as evidence
from dashboard.evidence.tuning import Search
from dashboard.export import Provenance
from dashboard.figure import Figure
from dashboard.filters import Scope, choose
from dashboard.format import plain
from dashboard.frames.tuning import LEAST

WORDS = texts.TUNING


def show(scope: Scope) -> None:
    """Draw the page."""
    page.heading(scope, WORDS["question"])
    found = evidence.searches(scope)
    if not found:
        nothing_yet(scope, WORDS)
        return
    _body(scope, found)


@st.fragment
def _body(scope: Scope, found: dict[str, Search]) -> None:
    """Everything below the heading: a control here redraws this part alone."""
    top = st.container()
    with st.container(width=360):
        search = found[choose(WORDS["search"], list(found), "search-of")]
    said = evidence.said(scope, search)
    with top:
        page.answer(said, ("validation fruit", "trial"))
    stamp = page.provenance(scope, search.runs, search.commit, ("search", search.label))
    figures.figure(evidence.history_figure(search, said), stamp, "history")
    importance = evidence.importance_figure(scope, search)
    left, right = st.columns(2, gap="large") if importance else (st.container(), st.container())
    with left:
        _or_else(importance, stamp, "importance", WORDS["too_few"])
    with right:
        _or_else(evidence.cost_figure(search), stamp, "cost", WORDS["no_time"])
    shown = evidence.slices(scope, search)
    if shown is not None:
        tiles(shown, stamp, WORDS["slices_note"])
    _or_else(evidence.parallel_figure(search), stamp, "parallel", "")
    spent = evidence.time_figure(scope)
    if spent is not None:
        figures.figure(spent, page.provenance(scope, (), search.commit), "time")
        quiet(spent.sentence)
    page.caveats(_caveats(search))


def _or_else(figure: Figure | None, stamp: Provenance, key: str, otherwise: str) -> None:
    """A figure with its sentence, or why there is none."""
    if figure is not None:
        figures.head(figure, stamp, key)
        quiet(figure.sentence)
        figures.chart(figure, key)
    elif otherwise:
        st.markdown(plain(otherwise))


def _caveats(search: Search) -> list[str]:
    found = {"inner": True, "few_trials": len(search.done) < 2 * LEAST, "tried": True}
    return [texts.CAVEATS[key] for key, applies in found.items() if applies]

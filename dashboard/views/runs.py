"""Runs: every run with its state and numbers, and everything about one of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from backend.store.queries.runs import NEWEST, RunFilter
from dashboard import texts
from dashboard.answers import Answer, method_words
from dashboard.components import page, states
from dashboard.components.run_detail import detail
from dashboard.components.text import quiet
from dashboard.filters import Scope, choose
from dashboard.format import DASH, count, listing, percent, plain, plural, sensors

WORDS = texts.RUNS
COLUMNS = texts.COLUMNS
INSPECTED = "inspect"
"""Query parameter with the id of the run that is looked at."""


def show(scope: Scope) -> None:
    """Draw the page."""
    page.heading(scope, WORDS["question"])
    top = st.container()
    chosen = _controls(scope)
    runs = scope.store.run_table(chosen)
    with top:
        page.answer(_answer(scope, chosen), ())
    if runs.empty:
        st.markdown(plain(texts.STATES_OF_STORE["no_match"]))
    else:
        _table(runs)
    _inspected(scope)


def _controls(scope: Scope) -> RunFilter:
    purposes = {words: name for name, words in texts.PURPOSES.items()}
    by_words = {words: state for state, words in texts.STATES.items()}
    bound: dict[str, Any] = {"bind": "query-params"}
    left, right = st.columns([1, 2])
    with left:
        purpose = choose(WORDS["purpose"], [*purposes, WORDS["every_purpose"]], "purpose")
    with right, st.container(gap="xxsmall"):
        quiet(WORDS["search"])
        text = st.text_input(
            WORDS["search"],
            key="search",
            placeholder=WORDS["search_hint"],
            label_visibility="collapsed",
            **bound,
        )
    picked = st.pills(WORDS["state"], list(by_words), selection_mode="multi", key="state", wrap=True, **bound)
    return replace(
        scope.runs(stale_before=page.stale_before()),
        purposes=(purposes[purpose],) if purpose in purposes else (),
        statuses=tuple(by_words[words] for words in picked),
        text=text.strip(),
    )


def _answer(scope: Scope, chosen: RunFilter) -> Answer:
    counts = scope.store.state_counts(chosen)
    parts = [f"{count(counts[state])} {words}" for state, words in texts.STATES.items() if counts.get(state)]
    total = plural(sum(counts.values()), WORDS["run"])
    return Answer(WORDS["answer"].format(total=total, parts=listing(parts)) if parts else WORDS["none"])


def _table(runs: pd.DataFrame) -> None:
    ids = list(runs["run_id"])

    def picked() -> None:
        rows = st.session_state["runs-table"].selection.rows
        if rows and rows[0] < len(ids):
            st.query_params[INSPECTED] = ids[rows[0]]

    started = pd.to_datetime(runs["started"], format="ISO8601", utc=True, errors="coerce")
    table = pd.DataFrame(
        {
            COLUMNS["name"]: runs["name"],
            COLUMNS["state"]: runs["state"].map(texts.STATES),
            COLUMNS["score"]: pd.to_numeric(runs["score"]),
            COLUMNS["method"]: runs["method"].map(method_words),
            COLUMNS["sensors"]: runs["modalities"].map(sensors),
            COLUMNS["labels"]: runs["label_fraction"].map(percent),
            COLUMNS["seed"]: runs["seed"],
            COLUMNS["started"]: started,
            COLUMNS["duration"]: pd.to_numeric(runs["seconds"]),
            COLUMNS["study"]: runs["study"],
        }
    )
    st.dataframe(
        table,
        key="runs-table",
        hide_index=True,
        placeholder=DASH,
        height=min(430, 38 + 35 * len(table)),
        on_select=picked,
        selection_mode="single-row",
        alt=WORDS["title"],
        column_config={
            COLUMNS["name"]: st.column_config.TextColumn(width=260),
            COLUMNS["score"]: st.column_config.NumberColumn(format="%.2f", help=texts.GLOSSARY["MCC"]),
            COLUMNS["started"]: st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm"),
            COLUMNS["duration"]: st.column_config.NumberColumn(format="%d s"),
        },
    )
    if len(table) == NEWEST:
        quiet(WORDS["only_newest"].format(n=count(NEWEST)))


def _inspected(scope: Scope) -> None:
    run_id = st.query_params.get(INSPECTED)
    if not run_id:
        quiet(WORDS["pick"])
        return
    run = scope.store.run(run_id)
    if run is None:
        st.markdown(plain(WORDS["not_found"]))
        states.command(run_id)
        return
    detail(scope, run)

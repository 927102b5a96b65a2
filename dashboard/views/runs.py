"""Runs: every run with its state and numbers, and everything about one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from backend.store.queries.runs import NEWEST, RunFilter
from dashboard import texts
from dashboard.answers import Answer
from dashboard.components import page, states
from dashboard.components.basket import notes_of_store
from dashboard.components.compare import compare
from dashboard.components.run_detail import detail
from dashboard.components.text import quiet
from dashboard.filters import Scope, choose
from dashboard.format import DASH, count, listing, percent, plain, plural, sensors
from dashboard.loaders_findings import Note, StoreError
from dashboard.names import method_words

WORDS = texts.RUNS
COLUMNS = texts.COLUMNS
INSPECTED = "inspect"
"""Query parameter with the id of the run that is looked at."""
COMPARED = "compare"
"""Query parameter with the ids of the runs that are compared, separated by commas."""


def show(scope: Scope) -> None:
    """Draw the page."""
    page.heading(scope, WORDS["question"])
    _body(scope)


@st.fragment
def _body(scope: Scope) -> None:
    """Everything below the heading: a search redraws this part alone."""
    top = st.container()
    chosen = _controls(scope)
    notes = _notes()
    with st.container():  # there even while it is empty: the first star must not move what is below it
        found = scope.store.run_table(chosen)
        runs = _noted(found, notes)
    with top:
        page.answer(_answer(scope, chosen, found), ())
    if runs.empty:
        st.markdown(plain(texts.STATES_OF_STORE["no_match"]))
    else:
        _table(runs, notes)
    compared = [run_id for run_id in (st.query_params.get(COMPARED) or "").split(",") if run_id]
    if compared:
        compare(scope, compared)
    else:
        _inspected(scope)


def _notes() -> dict[str, Note]:
    """What was written about runs; nothing where the notes cannot be read, which the notes' tab explains."""
    try:
        return notes_of_store().notes()
    except StoreError:
        return {}


def _noted(runs: pd.DataFrame, notes: dict[str, Note]) -> pd.DataFrame:
    """The runs with the star and all the tags chosen; the filter is there once somebody wrote one."""
    starred = texts.NOTES["starred"]
    stars = [starred] if any(note.star for note in notes.values()) else []
    tags = sorted({tag for note in notes.values() for tag in note.tags})
    if not stars and not tags:
        return runs
    picked = st.pills(
        texts.NOTES["filter"],
        [*stars, *tags],
        selection_mode="multi",
        key="tag",
        wrap=True,
        bind="query-params",
    )
    kept = {
        run_id
        for run_id, note in notes.items()
        if (note.star or starred not in picked) and {*picked} - {starred} <= {*note.tags}
    }
    return runs[runs["run_id"].isin(kept)].reset_index(drop=True) if picked else runs


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
        scope.runs(stale_before=scope.store.stale_before()),
        purposes=(purposes[purpose],) if purpose in purposes else (),
        statuses=tuple(by_words[words] for words in picked),
        text=text.strip(),
    )


def _answer(scope: Scope, chosen: RunFilter, found: pd.DataFrame) -> Answer:
    counts = _states(scope, chosen, found)
    parts = [f"{count(counts[state])} {words}" for state, words in texts.STATES.items() if counts.get(state)]
    widened = replace(chosen, purposes=())
    everything = sum((counts if widened == chosen else scope.store.state_counts(widened)).values())
    others = (
        WORDS["others"].format(n=plural(everything, WORDS["run"]))
        if everything > sum(counts.values())
        else ""
    )
    if not parts:
        return Answer(WORDS["none"], others)
    purpose = "".join(WORDS["of_purpose"].format(purpose=texts.PURPOSES[name]) for name in chosen.purposes)
    total = plural(sum(counts.values()), WORDS["run"])
    return Answer(WORDS["answer"].format(total=total, purpose=purpose, parts=listing(parts)), others)


def _states(scope: Scope, chosen: RunFilter, found: pd.DataFrame) -> dict[str, int]:
    """How many runs are in each state: of the table, or of the store where the table leaves some out."""
    if len(found) == NEWEST:
        return scope.store.state_counts(chosen)
    return {str(state): int(n) for state, n in found["state"].value_counts().items()}


def _table(runs: pd.DataFrame, notes: dict[str, Note]) -> None:
    ids = list(runs["run_id"])

    def picked() -> None:
        """One row is looked at; several are compared."""
        rows = [row for row in st.session_state["runs-table"].selection.rows if row < len(ids)]
        st.query_params.pop(COMPARED, None)
        if len(rows) == 1:
            st.query_params[INSPECTED] = ids[rows[0]]
        elif rows:
            st.query_params[COMPARED] = ",".join(ids[row] for row in rows)

    started = pd.to_datetime(runs["started"], format="ISO8601", utc=True, errors="coerce")
    table = pd.DataFrame(
        {
            COLUMNS["name"]: runs["name"].astype("category"),
            COLUMNS["state"]: _put(runs["state"], texts.STATES.get),
            COLUMNS["score"]: pd.to_numeric(runs["score"]),
            COLUMNS["method"]: _put(runs["method"], method_words),
            COLUMNS["sensors"]: _put(runs["modalities"], sensors),
            COLUMNS["labels"]: _put(runs["label_fraction"], percent),
            COLUMNS["seed"]: runs["seed"],
            COLUMNS["started"]: started,
            COLUMNS["duration"]: pd.to_numeric(runs["seconds"]) / 60,
            COLUMNS["study"]: runs["study"].astype("category"),
        }
    )
    if notes:
        table.insert(1, COLUMNS["star"], [notes.get(run_id, Note()).star for run_id in ids])
        table[COLUMNS["tags"]] = [list(notes.get(run_id, Note()).tags) for run_id in ids]
    st.dataframe(
        table,
        key="runs-table",
        hide_index=True,
        placeholder=DASH,
        height=min(430, 38 + 35 * len(table)),
        on_select=picked,
        selection_mode="multi-row",
        alt=WORDS["title"],
        column_config={
            COLUMNS["name"]: st.column_config.TextColumn(width=260),
            COLUMNS["score"]: st.column_config.NumberColumn(format="%.2f", help=texts.GLOSSARY["MCC"]),
            COLUMNS["started"]: st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm"),
            COLUMNS["duration"]: st.column_config.NumberColumn(format="%.1f min"),
        },
    )
    if len(table) == NEWEST:
        quiet(WORDS["only_newest"].format(n=count(NEWEST)))


def _put(values: pd.Series, words: Callable[[Any], object]) -> pd.Series:
    """Values in words, each word made and sent to the browser once: ten thousand runs share a few."""
    return values.astype("category").map(words)


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

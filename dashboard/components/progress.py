"""What is running now, drawn again every few seconds without drawing the page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import streamlit as st

from backend.store.queries.catalog import progress_of
from dashboard import texts
from dashboard.components.states import command, no_data, resume
from dashboard.filters import Scope
from dashboard.format import duration, moment, plain, study_name
from dashboard.loaders import Store, StoreError, open_store

WORDS = texts.OVERVIEW
BEAT = 5.0
"""Seconds between two looks at the store."""


def nothing_yet(scope: Scope, words: texts.Words) -> None:
    """A page without anything to show: what makes it, and what is being made.

    Args:
        scope: the sidebar's choice.
        words: of the page, with ``none`` and ``none_text``.
    """
    no_data(scope, words["none"], words["none_text"])
    running_now(scope.store.path)


@st.fragment(run_every=BEAT)
def running_now(path: Path) -> None:
    """Progress of every running study; draws the page again when a run or a study has finished.

    Args:
        path: the store.
    """
    try:
        store = open_store(path)
        studies = store.running_studies().to_dict("records")
        finished = store.finished_runs()
    except StoreError:
        st.rerun()
    silent = {study["study_id"]: _silent_since(study, store) for study in studies}
    state = (finished, len(studies), sum(last is not None for last in silent.values()))
    if st.session_state.setdefault("finished-runs", state) != state:
        st.session_state["finished-runs"] = state
        st.rerun()
    for study in studies:
        _study(study, store, silent[study["study_id"]])


def _silent_since(study: dict[Any, Any], store: Store) -> datetime | None:
    """The last sign of life of a study whose driver is gone; None while it runs."""
    last, limit = moment(study["heartbeat"]) or moment(study["started"]), moment(store.stale_before())
    return last if last is not None and limit is not None and last < limit else None


def _study(study: dict[Any, Any], store: Store, silent_since: datetime | None) -> None:
    name = plain(study_name(study["name"], study["dataset"]))
    with st.container(border=True):
        if silent_since is not None:
            silence = duration((datetime.now(UTC) - silent_since).total_seconds())
            st.markdown(WORDS["stalled"].format(name=name, ago=silence))
            command(resume(store, study["study_id"], study["root"]))
            return
        progress = progress_of(study["progress"])
        parts = [f"**{WORDS['running']}: {name}**", f"{plain(study['dataset'])}"]
        if progress.stage:
            parts.append(plain(WORDS["stage"].format(stage=progress.stage)))
        if progress.seconds_left is not None:
            parts.append(WORDS["left"].format(time=duration(progress.seconds_left)))
        st.markdown(" · ".join(parts))
        if progress.total:
            share = min(1.0, progress.done / progress.total)
            st.progress(share, text=WORDS["progress"].format(done=progress.done, total=progress.total))

"""What is running now, drawn again every few seconds without drawing the page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import streamlit as st

from backend.store.queries.catalog import progress_of
from dashboard import texts
from dashboard.components.states import command, resume
from dashboard.format import ago, duration, moment, plain, study_name
from dashboard.loaders import STALE_SECONDS, Store, StoreError, open_store

WORDS = texts.OVERVIEW
BEAT = 5.0
"""Seconds between two looks at the store."""


@st.fragment(run_every=BEAT)
def running_now(path: Path) -> None:
    """Progress of every running study; draws the page again when a run or a study has finished.

    Args:
        path: the store.
    """
    try:
        store = open_store(path)
        studies = store.running_studies()
        finished = store.finished_runs()
    except StoreError:
        st.rerun()
    seen = st.session_state.setdefault("finished-runs", (finished, len(studies)))
    if seen != (finished, len(studies)):
        st.session_state["finished-runs"] = (finished, len(studies))
        st.rerun()
    for study in studies.to_dict("records"):
        _study(study, store)


def _study(study: dict[Any, Any], store: Store) -> None:
    now = datetime.now(UTC)
    last = moment(study["heartbeat"]) or moment(study["started"])
    name = plain(study_name(study["name"], study["dataset"]))
    with st.container(border=True):
        if last is not None and (now - last).total_seconds() > STALE_SECONDS:
            st.markdown(
                WORDS["stalled"].format(name=name, ago=ago(last.isoformat(), now).removesuffix(" ago"))
            )
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

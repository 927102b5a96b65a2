"""The files of a run, checkpoints first: what each is, and a button that fetches it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import streamlit as st

from dashboard import loaders_findings as load
from dashboard import texts
from dashboard.components.text import quiet
from dashboard.filters import Scope, choose
from dashboard.format import plain

WORDS = texts.RUNS


def files(scope: Scope, run_id: str) -> None:
    """The table of files, and one of them to fetch; it is read when it is asked for."""
    table = scope.store.artifacts(run_id)
    if table.empty:
        return
    st.markdown(f"**{plain(WORDS['files'])}**")
    st.dataframe(table, hide_index=True, alt=WORDS["files"])
    ordered = table.sort_values("kind", key=lambda kinds: kinds != "checkpoint", kind="stable")
    paths = dict(zip(ordered["name"], ordered["path"], strict=True))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        with st.container(width=420):
            name = choose(WORDS["file"], list(paths), "file")
        path = load.artifact_file(scope.store.path, str(paths[name]))
        if path is None:
            quiet(WORDS["file_gone"])
        elif path.stat().st_size > load.MOST_DOWNLOAD:
            quiet(WORDS["file_large"].format(path=path))
        else:
            st.download_button(
                WORDS["fetch"],
                data=partial(Path.read_bytes, path),
                file_name=name.replace("/", "-"),
                mime="application/octet-stream",
                key="file-fetch",
                on_click="ignore",
                icon=":material/download:",
            )

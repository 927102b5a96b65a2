"""Pages for when there is nothing to show: what is missing, and the command that makes it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import streamlit as st

from dashboard import texts
from dashboard.filters import Scope
from dashboard.format import plain
from dashboard.identity import identity_options
from dashboard.loaders import DEFAULT_STORE, Store, StoreError, StoreMissing, open_store

WORDS = texts.STATES_OF_STORE
LOOK_AGAIN = 3.0
"""Seconds after which an empty page looks whether something has come."""


def command(text: str) -> None:
    """A command with its copy button."""
    st.code(text, language="bash", wrap_lines=True)


def no_store(path: Path) -> None:
    """There is no store yet."""
    st.title(WORDS["no_store"], anchor=False)
    st.markdown(plain(WORDS["no_store_text"].format(path=path)))
    command(texts.COMMANDS["demo"] if path == DEFAULT_STORE else _tune(path))
    st.markdown(plain(WORDS["no_store_other"]))
    command(texts.COMMANDS["other"])
    _wait(path)


def no_study(path: Path) -> None:
    """The store is there and holds no study."""
    st.title(WORDS["empty"], anchor=False)
    st.markdown(plain(WORDS["empty_text"].format(path=path)))
    command(_tune(path))
    _wait(path)


def _tune(path: Path) -> str:
    """The command that fills this store."""
    return texts.COMMANDS["tune"] + store_option(path)


def resume(store: Store, study_id: str, root: str = "") -> str:
    """The command that goes on with a study; it names every option that makes the study what it is.

    Args:
        store: the store.
        study_id: the study.
        root: folder of its data set.
    """
    content = (store.study(study_id) or {}).get("plan", {})
    options = identity_options(content if isinstance(content, dict) else {})
    dataset = ["--dataset", root] if root else []
    words = [texts.COMMANDS["resume"], *map(shlex.quote, [*options, *dataset])]
    return " ".join(words) + store_option(store.path)


def store_option(path: Path) -> str:
    """`` --store FILE`` for a command about this store; empty where commands take it by themselves."""
    return "" if path.absolute() == DEFAULT_STORE.absolute() else f" --store {shlex.quote(str(path))}"


def broken(error: StoreError) -> None:
    """The file is foreign, corrupt, newer or older."""
    st.title(WORDS["broken"], anchor=False)
    st.error(plain(str(error)), icon=":material/error:")
    for remedy in re.findall(r"`([^`]+)`", error.action):
        command(remedy)
    st.markdown(plain(WORDS["no_store_other"]))
    command(texts.COMMANDS["other"])


def no_runs(scope: Scope) -> None:
    """Nothing of the kind that a page shows is finished yet; where nothing is running, how to go on."""
    st.title(WORDS["no_runs"], anchor=False)
    if _hidden(scope):
        return
    st.markdown(plain(WORDS["no_runs_text"]))
    if scope.store.running_studies().empty:
        command(resume(scope.store, scope.study_id, scope.dataset.root))


def no_data(scope: Scope, title: str, text: str) -> None:
    """The chosen study holds nothing of what a page shows; the command that makes it.

    Args:
        scope: the sidebar's choice.
        title: what is missing.
        text: which stage leaves it.
    """
    st.title(plain(title), anchor=False)
    if not _hidden(scope):
        missing_stage(scope, text)


def _hidden(scope: Scope) -> bool:
    """Say which filters may hide what the store holds; whether there are any. Then no command would help."""
    if scope.hidden:
        st.markdown(plain(texts.FILTERS["hidden"].format(filters=scope.hidden)))
    return bool(scope.hidden)


def missing_stage(scope: Scope, text: str) -> None:
    """One part of a page has nothing to show: what it needs, and the command that makes it."""
    st.markdown(plain(text))
    dataset = f" --dataset {shlex.quote(scope.dataset.root)}" if scope.dataset.root else ""
    command(texts.COMMANDS["overnight"] + dataset + store_option(scope.store.path))


@st.fragment(run_every=LOOK_AGAIN)
def _wait(path: Path) -> None:
    """Draw the whole page again as soon as the store has a data set with a study."""
    try:
        datasets = open_store(path).datasets()
    except StoreMissing:
        return
    except StoreError:
        st.rerun()
    if (datasets["n_studies"] > 0).any():
        st.rerun()

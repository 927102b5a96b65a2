"""The sidebar: data set, study, defect, method, sensors, pallet and time, on each page and in the URL.

Widgets are bound to query parameters under their keys, so a pasted link restores the view. Options are the
labels themselves: they are what the URL holds.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from backend.store.queries.catalog import DatasetFacts
from dashboard import texts
from dashboard.components.text import quiet
from dashboard.format import before_now, sensors
from dashboard.frames.defects import fixed_order
from dashboard.loaders import Store
from dashboard.names import method_words
from dashboard.scope import Scope, defect_groups, labelled, study_labels

__all__ = ["Scope", "choose", "hold", "labelled", "sidebar"]

WORDS = texts.FILTERS
KEYS = ("dataset", "study", "defect", "method", "sensors", "group", "started")
"""Of the filters, in the session and in the URL."""
DAY = 86_400.0
PERIODS = {WORDS["day"]: 1, WORDS["week"]: 7, WORDS["month"]: 30}
"""Days in which a run was started."""
MOST_GROUPS = 2000
"""More pallets make a list that nobody reads, and every page would carry it."""


def hold(key: str, options: list[str], default: str) -> None:
    """Give a widget without a default of its own a value, before it is drawn.

    It is given in every run: what only the first run gave would be forgotten when the page changes.
    """
    value = st.session_state.get(key)
    st.session_state[key] = value if value in options else default


def choose(
    label: str, options: list[str], key: str, first: str | None = None, help_text: str | None = None
) -> str:
    """A select box bound to the URL whose choice is always one of ``options``.

    The default is not the widget's own but put into the session, so that it shows in the URL as well and a
    pasted link keeps its meaning when a newer study appears.

    Args:
        label: of the box.
        options: what may be chosen.
        key: of the widget and of the query parameter.
        first: the default; None = the first option.
        help_text: tooltip.
    """
    hold(key, options, first if first in options else options[0])
    with st.container(gap="xxsmall"):
        quiet(label, help_text)
        chosen = st.selectbox(
            label,
            options,
            index=None,
            key=key,
            bind="query-params",
            required=True,
            label_visibility="collapsed",
        )
    return chosen if chosen in options else options[0]


def sidebar(store: Store) -> Scope | None:
    """Draw the filters.

    Returns:
        What was chosen; None where the store holds no data set with a study.
    """
    datasets = store.datasets()
    datasets = datasets[datasets["n_studies"] > 0]
    if datasets.empty:
        return None
    with st.sidebar:
        dataset = _dataset(store, datasets)
        study_id, study = _study(store, dataset)
        order = fixed_order(dataset, store.defect_counts(dataset.dataset_id))
        defect, defects = _defect(dataset, order)
        method, modalities = _method_and_sensors(store, dataset.dataset_id, study_id)
        scope = Scope(store, dataset, study_id, study, order, defects, defect, method, modalities)
        group, period = _group(scope), choose(WORDS["period"], [WORDS["any_time"], *PERIODS], "started")
    return replace(
        scope,
        group=group,
        period=period if period in PERIODS else "",
        since=before_now(DAY * PERIODS[period]) if period in PERIODS else "",
    )


def _group(scope: Scope) -> str:
    """The pallet filter; where fruit have no pallets worth the name there is none."""
    if not 0 < len(scope.pallets) <= MOST_GROUPS:
        return ""
    chosen = choose(WORDS["group"], [WORDS["every_group"], *scope.pallets], "group")
    return chosen if chosen in scope.pallets else ""


def _dataset(store: Store, datasets: pd.DataFrame) -> DatasetFacts:
    labels = labelled(datasets["name"], [name[:6] for name in datasets["dataset_id"]])
    chosen = choose(WORDS["dataset"], labels, "dataset")
    dataset = store.dataset(str(datasets["dataset_id"].iloc[labels.index(chosen)]))
    assert dataset is not None, "listed a moment ago in the same state of the store"
    return dataset


def _study(store: Store, dataset: DatasetFacts) -> tuple[str, str]:
    studies = store.studies(dataset.dataset_id)
    labels, first = study_labels(studies, dataset)
    chosen = choose(WORDS["study"], [*labels, WORDS["every_study"]], "study", first)
    if chosen == WORDS["every_study"]:
        return "", chosen
    return str(studies["study_id"].iloc[labels.index(chosen)]), chosen


def _defect(dataset: DatasetFacts, order: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    groups = defect_groups(dataset, order)
    chosen = choose(WORDS["defect"], list(groups), "defect")
    return chosen, groups[chosen]


def _method_and_sensors(store: Store, dataset_id: str, study_id: str) -> tuple[str, str]:
    choices = store.choices(dataset_id, study_id)
    methods = sorted(choices["method"].unique(), key=lambda name: (name != "supervised", name))
    by_label = dict(zip(labelled([method_words(name) for name in methods], methods), methods, strict=True))
    method = choose(WORDS["method"], [WORDS["every_method"], *by_label], "method")
    combinations = sorted(choices["modalities"].unique(), key=lambda text: (len(text), text))
    by_sensor = dict(
        zip(labelled([sensors(text) for text in combinations], combinations), combinations, strict=True)
    )
    chosen = choose(WORDS["sensors"], [WORDS["every_sensor"], *by_sensor], "sensors")
    return str(by_label.get(method, "")), str(by_sensor.get(chosen, ""))

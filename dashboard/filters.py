"""The sidebar: data set, study, defect, method and sensors, the same on each page and all in the URL.

Widgets are bound to query parameters under their keys, so a pasted link restores the view. Options are the
labels themselves: they are what the URL holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from backend.store.queries.catalog import DatasetFacts
from backend.store.queries.runs import RunFilter
from dashboard import texts
from dashboard.answers import defect_words, method_words
from dashboard.components.text import quiet
from dashboard.format import day, sensors, study_name, when
from dashboard.frames.defects import fixed_order
from dashboard.loaders import Store
from dashboard.theme import EXTERNAL, INTERNAL, Tint, tints

WORDS = texts.FILTERS


@dataclass(frozen=True)
class Scope:
    """What the sidebar chose.

    Attributes:
        study_id: empty = all studies of the data set.
        study: its label.
        order: every defect of the data set in the fixed order.
        defects: those the filter lets through, in that order.
        defect: the label of the defect filter.
        method: empty = all.
        modalities: JSON text of the sensors; empty = all.
    """

    store: Store
    dataset: DatasetFacts
    study_id: str
    study: str
    order: tuple[str, ...]
    defects: tuple[str, ...]
    defect: str
    method: str
    modalities: str

    @property
    def one_defect(self) -> str | None:
        """The defect, where exactly one is chosen out of several."""
        return self.defects[0] if len(self.defects) == 1 < len(self.order) else None

    @property
    def family(self) -> str:
        """How the chosen defects are called together, "internal defects"; empty where all are chosen."""
        some = 1 < len(self.defects) < len(self.order)
        return self.defect.lower() if some else ""

    @property
    def multiclass(self) -> bool:
        """Whether each fruit has exactly one class."""
        return self.dataset.task == "multiclass"

    @property
    def kinds(self) -> dict[str, str]:
        """Defect to kind, in the fixed order."""
        kinds = {defect.name: defect.kind for defect in self.dataset.defects}
        return {name: kinds[name] for name in self.order}

    @property
    def tints(self) -> dict[str, Tint]:
        """The colour of each defect."""
        return tints(self.kinds, self.dataset.healthy)

    def filters(self) -> tuple[tuple[str, str], ...]:
        """What was chosen, for the provenance of figures."""
        return (
            ("study", self.study),
            ("defects", self.defect),
            ("method", method_words(self.method) if self.method else ""),
            ("sensors", sensors(self.modalities) if self.modalities else ""),
        )

    def runs(self, *, stale_before: str = "", purposes: tuple[str, ...] = ()) -> RunFilter:
        """The same filters for tables of runs."""
        return RunFilter(
            dataset_id=self.dataset.dataset_id,
            study_id=self.study_id,
            method=self.method,
            modalities=self.modalities,
            purposes=purposes,
            stale_before=stale_before,
        )

    def keep(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The runs that the method and sensor filters let through; baselines always pass the method."""
        if self.method:
            runs = runs[(runs["method"] == self.method) | (runs["kind"] == "baseline")]
        if self.modalities:
            runs = runs[runs["modalities"] == self.modalities]
        return runs


def labelled(names: Iterable[str], details: Iterable[str]) -> list[str]:
    """Names made unique: a name that occurs twice gets its detail, and where that fails a number."""
    names, details = list(names), list(details)
    labels: list[str] = []
    for name, detail in zip(names, details, strict=True):
        label = f"{name} ({detail})" if names.count(name) > 1 else name
        twins = sum(label == other or other.startswith(f"{label} #") for other in labels)
        labels.append(f"{label} #{twins + 1}" if twins else label)
    return labels


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
    return Scope(store, dataset, study_id, study, order, defects, defect, method, modalities)


def _dataset(store: Store, datasets: pd.DataFrame) -> DatasetFacts:
    labels = labelled(datasets["name"], [name[:6] for name in datasets["dataset_id"]])
    chosen = choose(WORDS["dataset"], labels, "dataset")
    dataset = store.dataset(str(datasets["dataset_id"].iloc[labels.index(chosen)]))
    assert dataset is not None, "listed a moment ago in the same state of the store"
    return dataset


def _study(store: Store, dataset: DatasetFacts) -> tuple[str, str]:
    studies = store.studies(dataset.dataset_id)
    names = [study_name(name, dataset.name) for name in studies["name"]]
    dated = [f"{name} · {day(started)}" for name, started in zip(names, studies["started"], strict=True)]
    labels = labelled(dated, [when(started) for started in studies["started"]])
    finished = studies["n_final"].to_numpy() > 0
    first = labels[int(finished.argmax())]
    chosen = choose(WORDS["study"], [*labels, WORDS["every_study"]], "study", first)
    if chosen == WORDS["every_study"]:
        return "", chosen
    return str(studies["study_id"].iloc[labels.index(chosen)]), chosen


def _defect(dataset: DatasetFacts, order: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    kinds = {defect.name: defect.kind for defect in dataset.defects}
    every = WORDS["every_class"] if dataset.task == "multiclass" else WORDS["every_defect"]
    groups = {every: order}
    for kind in (INTERNAL, EXTERNAL):
        members = tuple(name for name in order if kinds[name] == kind)
        if 1 < len(members) < len(order):
            groups[WORDS[kind]] = members
    names = labelled([defect_words(name) for name in order], order)
    groups |= {label: (name,) for label, name in zip(names, order, strict=True)}
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

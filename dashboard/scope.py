"""What is looked at: a data set, a study, and which defects, methods and sensors of it. Without Streamlit.

The sidebar makes a ``Scope`` from widgets, the report without a browser from options; pages and figures know
no other way to ask what was chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pandas as pd

from backend.store.queries.catalog import DatasetFacts
from backend.store.queries.runs import RunFilter
from dashboard import texts
from dashboard.export import Provenance
from dashboard.format import day, sensors, study_name, when
from dashboard.loaders import Store
from dashboard.names import defect_words, method_words
from dashboard.scores import ScoreTable
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
        group: a pallet or origin; empty = all.
        period: how the time of the runs was chosen, in words; empty = any.
        since: UTC time, as the store writes times; runs started before it are left out.
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
    group: str = ""
    period: str = ""
    since: str = ""

    @property
    def pallets(self) -> tuple[str, ...]:
        """The pallets or origins of the fruit; none where each fruit is one of its own, or all are one."""
        names = self.store.groups(self.dataset.dataset_id)
        return names if 1 < len(names) < self.dataset.n_fruits else ()

    @property
    def fruit(self) -> frozenset[str]:
        """Ids of the fruit of the chosen pallet."""
        return self.store.fruit_of(self.dataset.dataset_id, self.group)

    def scores(self, run_id: str, finished: str) -> ScoreTable:
        """The held-out predictions of a finished run, of the chosen pallet where one is chosen."""
        table = self.store.scores(run_id, finished, self.order)
        return table.only(self.fruit) if self.group else table

    def at_prices(self, miss: float, alarm: float) -> Scope:
        """The same where misses and false alarms cost so many times what ``dataset.toml`` says."""
        defects = tuple(
            replace(d, cost_miss=miss * d.cost_miss, cost_false_alarm=alarm * d.cost_false_alarm)
            for d in self.dataset.defects
        )
        return replace(self, dataset=replace(self.dataset, defects=defects))

    @property
    def hidden(self) -> str:
        """The filters that may hide runs, in words; empty where none is set."""
        chosen = dict(self.filters())
        return ", ".join(chosen[name] for name in ("method", "sensors", "started") if chosen[name])

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
            ("pallet", self.group),
            ("started", self.period),
        )

    def provenance(self, runs: tuple[str, ...], commit: object = "", *more: tuple[str, str]) -> Provenance:
        """Where figures come from.

        Args:
            runs: ids of the runs shown.
            commit: of the code that trained them, as the store has it.
            more: what the page's own controls chose.
        """
        return Provenance(
            runs=runs,
            dataset=self.dataset.name,
            fingerprint=self.dataset.dataset_id,
            synthetic=self.dataset.synthetic,
            commit=commit if isinstance(commit, str) else "",
            filters=(*self.filters(), *more),
            made=datetime.now(UTC),
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
            since=self.since,
        )

    def keep(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The runs that the filters let through."""
        if self.modalities:
            runs = runs[runs["modalities"] == self.modalities]
        return self.keep_method(runs)

    def keep_method(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The runs of any sensors that the other filters let through; baselines always pass the method."""
        if self.method:
            runs = runs[(runs["method"] == self.method) | (runs["kind"] == "baseline")]
        return self.keep_recent(runs)

    def keep_recent(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The runs that were started in the chosen time."""
        return runs[runs["started"] >= self.since] if self.since else runs


def labelled(names: Iterable[str], details: Iterable[str]) -> list[str]:
    """Names made unique: a name that occurs twice gets its detail, and where that fails a number."""
    names, details = list(names), list(details)
    labels: list[str] = []
    for name, detail in zip(names, details, strict=True):
        label = f"{name} ({detail})" if names.count(name) > 1 else name
        twins = sum(label == other or other.startswith(f"{label} #") for other in labels)
        labels.append(f"{label} #{twins + 1}" if twins else label)
    return labels


def study_labels(studies: pd.DataFrame, dataset: DatasetFacts) -> tuple[list[str], str]:
    """The studies of a data set under labels that differ, and the one that is shown first.

    Args:
        studies: see ``catalog.studies``; at least one.
        dataset: theirs.

    Returns:
        A label a study, and that of the latest one with a final result, else of the latest.
    """
    names = [study_name(name, dataset.name) for name in studies["name"]]
    dated = [f"{name} · {day(started)}" for name, started in zip(names, studies["started"], strict=True)]
    labels = labelled(dated, [when(started) for started in studies["started"]])
    finished = studies["n_final"].to_numpy() > 0
    return labels, labels[int(finished.argmax())]


def defect_groups(dataset: DatasetFacts, order: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """What the defect filter offers: all, the internal and the external ones together, and each alone."""
    kinds = {defect.name: defect.kind for defect in dataset.defects}
    every = WORDS["every_class"] if dataset.task == "multiclass" else WORDS["every_defect"]
    groups = {every: order}
    for kind in (INTERNAL, EXTERNAL):
        members = tuple(name for name in order if kinds[name] == kind)
        if 1 < len(members) < len(order):
            groups[WORDS[kind]] = members
    names = labelled([defect_words(name) for name in order], order)
    return groups | {label: (name,) for label, name in zip(names, order, strict=True)}

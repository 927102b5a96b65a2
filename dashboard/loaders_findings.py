"""What the pages about explanations, features, the search, the data and the report read; see ``loaders``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path

import pandas as pd

from backend.errors import StoreError
from backend.store.annotations import Annotations, Note
from backend.store.artifacts import artifact_root, inside
from backend.store.queries import explanations, findings, space, tuning
from dashboard.loaders import Store, open_store

__all__ = ["Annotations", "Note", "StoreError"]

MOST_JSON = 20_000_000
"""Bytes of a file that is read as a whole."""

MOST_DOWNLOAD = 200_000_000
"""Bytes of a file that a page hands out; larger ones are fetched from the artifact folder."""

DEFECT, PRESSURE = "defect:", "pressure:"
"""What the columns of ``fruit_table`` begin with, as in a manifest."""


def explained_runs(store: Store, dataset_id: str, study_id: str) -> pd.DataFrame:
    """See ``explanations.explained_runs``."""
    return store.ask(explanations.explained_runs, dataset_id, study_id)


def attributions(store: Store, run_id: str) -> pd.DataFrame:
    """See ``explanations.attributions``."""
    return store.ask_large(explanations.attributions, run_id)


def checked_cases(store: Store, run_id: str) -> dict[str, int]:
    """How many fruit with a mask each defect's localisation was measured on; empty where no file says so."""
    table = store.artifacts(run_id)
    names = table["name"].str.endswith("explanations.json")
    return dict(_checked_cases(store.path, tuple(table.loc[names, "path"])))


@lru_cache(maxsize=32)
def _checked_cases(path: Path, files: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    n: Counter[str] = Counter()
    for relative in files:
        file = artifact_file(path, relative)
        if file is None or file.stat().st_size > MOST_JSON:
            continue
        try:
            measured = json.loads(file.read_text(encoding="utf-8"))["values"]["localisation_pointing"]
            n.update({str(defect): len(fruit) for defect, fruit in measured.items()})
        except (ValueError, KeyError, TypeError, AttributeError, OSError):
            continue
    return tuple(n.items())


def projected_runs(store: Store, dataset_id: str, study_id: str) -> pd.DataFrame:
    """See ``space.projected_runs``."""
    return store.ask(space.projected_runs, dataset_id, study_id)


def projections(store: Store, run_id: str) -> list[str]:
    """See ``space.projections``."""
    return store.ask(space.projections, run_id)


def points(store: Store, run_id: str, projection: str) -> pd.DataFrame:
    """See ``space.points``."""
    return store.ask_large(space.points, run_id, projection)


def neighbours(store: Store, run_id: str) -> pd.DataFrame:
    """See ``space.neighbours``."""
    return store.ask_large(space.neighbours, run_id)


def state_of_search(store: Store, dataset_id: str, study_id: str) -> Hashable:
    """See ``tuning.state_of_search``."""
    return store.ask(tuning.state_of_search, dataset_id, study_id)


def trials(store: Store, dataset_id: str, study_id: str) -> pd.DataFrame:
    """See ``tuning.trials``; kept until one of them starts or ends, whatever else is written."""
    state = state_of_search(store, dataset_id, study_id)
    return store.ask_while(state, tuning.trials, dataset_id, study_id)


def time_spent(store: Store, dataset_id: str, study_id: str, since: str = "") -> pd.DataFrame:
    """See ``tuning.time_spent``."""
    return store.ask(tuning.time_spent, dataset_id, study_id, since)


def data_findings(store: Store, dataset_id: str) -> pd.DataFrame:
    """See ``findings.findings``."""
    return store.ask(findings.findings, dataset_id)


def co_occurrence(store: Store, dataset_id: str) -> pd.DataFrame:
    """See ``findings.co_occurrence``."""
    return store.ask_fixed(findings.co_occurrence, dataset_id)


def groups(store: Store, dataset_id: str) -> pd.DataFrame:
    """See ``findings.groups``."""
    return store.ask_fixed(findings.groups, dataset_id)


def inputs(store: Store, dataset_id: str) -> pd.DataFrame:
    """See ``findings.inputs``."""
    return store.ask_fixed(findings.inputs, dataset_id)


def fruit_table(store: Store, dataset_id: str) -> pd.DataFrame:
    """Every fruit of a data set with its labels and readings; they never change.

    Returns:
        Indexed by fruit_id: fruit_group, ``defect:NAME`` (1, 0 or NaN) and ``pressure:NAME`` (NaN = missing).
    """
    return _fruit_table(store.path, dataset_id)


@lru_cache(maxsize=4)
def _fruit_table(path: Path, dataset_id: str) -> pd.DataFrame:
    facts = open_store(path).ask_fixed(space.fruit_facts, dataset_id)
    parts = [facts[["fruit_group"]]]
    for column, prefix in (("labels", DEFECT), ("pressures", PRESSURE)):
        values = pd.DataFrame([json.loads(text) for text in facts[column]], index=facts.index, dtype=float)
        parts.append(values.add_prefix(prefix))
    return pd.concat(parts, axis=1).set_index(pd.Index(facts["fruit_id"], name="fruit_id"))


def beside(path: Path) -> Annotations:
    """Notes and basket of the store at ``path``."""
    return Annotations(path.absolute())


def artifact_file(store: Path, relative: str) -> Path | None:
    """A file of the store's artifact folder; None where it is missing, or leads outside that folder.

    Args:
        store: the store.
        relative: as table ``artifact`` or ``attribution`` has it, relative to the store's folder.
    """
    try:
        path = inside(store.parent, relative)
        sound = path.is_relative_to(artifact_root(store).resolve()) and path.is_file()
    except (StoreError, OSError, ValueError):
        return None
    return path if sound else None

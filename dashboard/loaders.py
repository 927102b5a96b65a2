"""What the pages read, cached: every call goes to ``backend.store.queries`` once for each state of the store.

The dashboard opens the store read-only and for the length of one query, so it never locks anyone out.
Caches are bounded and keyed on the store's version, which changes with every commit; what belongs to a
finished run is keyed on the run instead, since it never changes again. Nothing here imports Streamlit: the
report without a browser reads through the same functions. Frames are shared, so nobody may change one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Hashable
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import pandas as pd

from backend.errors import StoreError
from backend.store.queries import (
    StoreMissing,
    StoreWatch,
    as_store_error,
    catalog,
    fruit,
    open_readonly,
    results,
    runs,
    writer_was_killed,
)
from dashboard.format import before_now
from dashboard.scores import ScoreTable

__all__ = ["Store", "StoreError", "StoreMissing", "open_store", "store_path"]

P = ParamSpec("P")
T = TypeVar("T")

# Frames here are small, and on those every operation of Arrow's strings costs more than it saves.
pd.set_option("mode.string_storage", "python")

DEFAULT_STORE = Path("runs/store.db")
STALE_SECONDS = 300.0
"""A running run that has not reported for so long counts as stalled."""
END_OF_TIME = "9999-12-31T23:59:59.999999+00:00"
"""Any sign of life is too old where the writer is known to be gone."""

_watches: dict[Path, StoreWatch] = {}
_watching = threading.Lock()


def store_path(option: str | None = None) -> Path:
    """Which store: the command line's, else ``AVOCADO_STORE``, else ``runs/store.db``."""
    return Path(option or os.environ.get("AVOCADO_STORE") or DEFAULT_STORE)


def open_store(path: Path) -> Store:
    """The store as it is now.

    Raises:
        StoreMissing: there is none yet, or it is empty.
        StoreError: not a run store, corrupt, or of another schema version.
    """
    path = path.absolute()
    with _watching:
        for _ in range(2):
            watch = _watches.get(path) or _watches.setdefault(path, StoreWatch(path))
            version = watch.version()
            if version is not None:
                return Store(path, version)
            _watches.pop(path).close()  # another file has taken its place
        return Store(path, "replaced twice in a moment")


def _read(
    path: Path, query: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run one query on a connection of its own."""
    try:
        with closing(open_readonly(path)) as connection:
            return query(connection, *args, **kwargs)
    except sqlite3.Error as error:
        raise as_store_error(error, path) from error


@dataclass(frozen=True)
class Store:
    """A store at one moment. Equal stores hold equal data, so every method is cached on it.

    Attributes:
        path: absolute path of the file.
        version: changes with every commit.
    """

    path: Path
    version: str

    def datasets(self) -> pd.DataFrame:
        """See ``catalog.datasets``."""
        return _small(self, catalog.datasets)

    def dataset(self, dataset_id: str) -> catalog.DatasetFacts | None:
        """See ``catalog.dataset``."""
        return _small(self, catalog.dataset, dataset_id)

    def studies(self, dataset_id: str) -> pd.DataFrame:
        """See ``catalog.studies``."""
        return _small(self, catalog.studies, dataset_id)

    def study(self, study_id: str) -> dict[str, Any] | None:
        """See ``catalog.study``."""
        return _small(self, catalog.study, study_id)

    def running_studies(self) -> pd.DataFrame:
        """See ``catalog.running_studies``."""
        return _small(self, catalog.running_studies)

    def stale_before(self) -> str:
        """Time of the last sign of life below which what runs counts as stalled."""
        return END_OF_TIME if writer_was_killed(self.path) else before_now(STALE_SECONDS)

    def finished_runs(self) -> int:
        """See ``catalog.finished_runs``."""
        return _small(self, catalog.finished_runs)

    def choices(self, dataset_id: str, study_id: str) -> pd.DataFrame:
        """See ``runs.choices``."""
        return _small(self, runs.choices, dataset_id, study_id)

    def defect_counts(self, dataset_id: str) -> pd.DataFrame:
        """See ``catalog.defect_counts``."""
        return self.ask_fixed(catalog.defect_counts, dataset_id)

    def groups(self, dataset_id: str) -> tuple[str, ...]:
        """See ``catalog.groups``."""
        return self.ask_fixed(catalog.groups, dataset_id)

    def fruit_of(self, dataset_id: str, group: str) -> frozenset[str]:
        """See ``catalog.fruit_of``."""
        return self.ask_fixed(catalog.fruit_of, dataset_id, group)

    def pressure_quantiles(self, dataset_id: str) -> pd.DataFrame:
        """See ``fruit.pressure_quantiles``."""
        return self.ask_fixed(fruit.pressure_quantiles, dataset_id)

    def fruit(self, dataset_id: str, fruit_ids: tuple[str, ...]) -> pd.DataFrame:
        """See ``fruit.fruit``; fruit of a data set never change."""
        return _fruit(self.path, dataset_id, fruit_ids)

    def scored_runs(self, dataset_id: str, study_id: str, purposes: tuple[str, ...]) -> pd.DataFrame:
        """See ``results.scored_runs``."""
        return _small(self, results.scored_runs, dataset_id, study_id, purposes)

    def pooled_metrics(self, run_ids: tuple[str, ...], metrics: tuple[str, ...]) -> pd.DataFrame:
        """See ``results.pooled_metrics``."""
        return _small(self, results.pooled_metrics, run_ids, metrics)

    def run_metrics(self, run_id: str) -> pd.DataFrame:
        """See ``results.run_metrics``."""
        return _small(self, results.run_metrics, run_id)

    def defect_confusion(self, run_id: str, fold: int | None = None) -> pd.DataFrame:
        """See ``results.defect_confusion``."""
        return _small(self, results.defect_confusion, run_id, fold)

    def class_confusion(self, run_id: str, fold: int | None = None) -> pd.DataFrame:
        """See ``results.class_confusion``."""
        return _small(self, results.class_confusion, run_id, fold)

    def comparisons(self, run_id_a: str, run_id_b: str) -> pd.DataFrame:
        """See ``results.comparisons``."""
        return _small(self, results.comparisons, run_id_a, run_id_b)

    def comparability(self, run_id_a: str, run_id_b: str) -> list[str]:
        """See ``results.comparability``."""
        return _small(self, results.comparability, run_id_a, run_id_b)

    def run_table(self, chosen: runs.RunFilter) -> pd.DataFrame:
        """See ``runs.run_table``."""
        return _large(self, runs.run_table, chosen)

    def state_counts(self, chosen: runs.RunFilter) -> dict[str, int]:
        """See ``runs.state_counts``."""
        return _small(self, runs.state_counts, chosen)

    def reasons(self, chosen: runs.RunFilter) -> pd.DataFrame:
        """See ``runs.reasons``."""
        return _small(self, runs.reasons, chosen)

    def run(self, run_id: str) -> dict[str, Any] | None:
        """See ``runs.run``."""
        return _small(self, runs.run, run_id)

    def folds(self, run_id: str) -> pd.DataFrame:
        """See ``runs.folds``."""
        return _small(self, runs.folds, run_id)

    def curves(self, run_id: str) -> pd.DataFrame:
        """See ``runs.curves``."""
        return _large(self, runs.curves, run_id)

    def artifacts(self, run_id: str) -> pd.DataFrame:
        """See ``runs.artifacts``."""
        return _small(self, runs.artifacts, run_id)

    def lineage(self, run_id: str) -> pd.DataFrame:
        """See ``runs.lineage``."""
        return _small(self, runs.lineage, run_id)

    def ask(self, query: Callable[..., T], *args: Any) -> T:
        """The answer of any query of the store, kept as long as the store stays as it is.

        Args:
            query: a function of ``backend.store.queries``.
            args: hashable; what follows the connection.
        """
        return _small(self, query, *args)

    def ask_large(self, query: Callable[..., T], *args: Any) -> T:
        """See ``ask``; few such answers are kept, since each may be large."""
        return _large(self, query, *args)

    def ask_predictions(self, query: Callable[..., T], run_ids: tuple[str, ...], *args: Any) -> T:
        """The answer of a query about predictions of finished runs, kept whatever else is written.

        Args:
            query: a function of ``backend.store.queries``; takes the connection, the runs and ``args``.
            run_ids: finished runs; one that was made again has finished at another time.
            args: hashable.
        """
        finished = _small(self, runs.finish_times, run_ids)
        return self.ask_while(finished, query, run_ids, *args)

    def ask_while(self, state: Hashable, query: Callable[..., T], *args: Any) -> T:
        """The answer of a query that hangs on a part of the store alone, kept while that part stays.

        Args:
            state: what changes with that part; cheap to ask for, unlike the answer.
            query: a function of ``backend.store.queries``.
            args: hashable; what follows the connection.
        """
        return _while(self.path, state, query, *args)

    def ask_fixed(self, query: Callable[..., T], *args: Any) -> T:
        """The answer of a query about what a data set is: its id is its content, so that never changes.

        Args:
            query: a function of ``backend.store.queries``.
            args: hashable; the data set's id first.
        """
        return _fixed(self.path, query, *args)

    def scores(self, run_id: str, finished: str, order: tuple[str, ...]) -> ScoreTable:
        """The held-out predictions of a finished run as arrays.

        Args:
            run_id: the run.
            finished: when it finished; a run that was made again has another time.
            order: the defects, in the order of the columns.
        """
        return _scores(self.path, run_id, finished, order)


@lru_cache(maxsize=1024)
def _small(store: Store, query: Callable[..., T], *args: Any) -> T:
    return _read(store.path, query, *args)


@lru_cache(maxsize=12)
def _large(store: Store, query: Callable[..., T], *args: Any) -> T:
    return _read(store.path, query, *args)


@lru_cache(maxsize=32)
def _while(path: Path, state: Hashable, query: Callable[..., T], *args: Any) -> T:
    del state  # part of the key alone
    return _read(path, query, *args)


@lru_cache(maxsize=128)
def _fixed(path: Path, query: Callable[..., T], *args: Any) -> T:
    return _read(path, query, *args)


@lru_cache(maxsize=12)
def _scores(path: Path, run_id: str, finished: str, order: tuple[str, ...]) -> ScoreTable:
    del finished  # part of the key alone
    return ScoreTable.from_rows(_read(path, fruit.predictions, run_id), order)


@lru_cache(maxsize=256)
def _fruit(path: Path, dataset_id: str, fruit_ids: tuple[str, ...]) -> pd.DataFrame:
    return _read(path, fruit.fruit, dataset_id, fruit_ids)

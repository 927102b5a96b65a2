"""A store of six fruit that every number can be counted on by hand, and the pieces to make another."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from backend.data.dataset import MULTILABEL, Defect, FruitDataset
from backend.store.bundle import CurvePoint, FoldBundle, MetricValue, Predictions
from backend.store.connection import open_readonly
from backend.store.rows import ComparisonRow, RunRow, StudyRow
from backend.store.writer import RunStore

IDS = ("a", "b", "c", "d", "e", "f")
FOLDS = {"a": 0, "b": 0, "c": 0, "d": 1, "e": 1}
NAN = float("nan")
LABELS = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [1, NAN], [NAN, NAN]], dtype=np.float32)
DECIDED = {"a": (1, 0), "b": (1, 1), "c": (0, 1), "d": (0, 0), "e": (1, 1)}


def _data_set(dataset_id: str = "d1", **changes: object) -> FruitDataset:
    values = {
        "root": Path("/nowhere"),
        "name": "six",
        "task": MULTILABEL,
        "healthy": "fine",
        "synthetic": True,
        "description": "",
        "licence": "",
        "source": "",
        "defects": (Defect("rot", "internal", 2.0, 0.5), Defect("scar", "external", 1.0, 0.25)),
        "fruit_ids": IDS,
        "groups": ("p1", "p1", "p2", "p2", "p3", "p3"),
        "fixed_split": None,
        "labels": LABELS,
        "pressure_names": ("tap",),
        "pressures": np.array([[1], [2], [3], [4], [5], [NAN]], dtype=np.float32),
        "modalities": {"rgb": ("1",)},
        "paths": {("rgb", "1"): ("a.png", "b.png", "", "d.png", "e.png", "f.png")},
        "dataset_id": dataset_id,
        "label_version": f"labels-{dataset_id}",
    }
    return FruitDataset(**(values | changes))


def _row(run_id: str, study_id: str = "s1", dataset_id: str = "d1", **changes: object) -> RunRow:
    values = {
        "run_id": run_id,
        "study_id": study_id,
        "parent_run_id": None,
        "dataset_id": dataset_id,
        "name": f"name of {run_id}",
        "kind": "baseline",
        "purpose": "final",
        "method": "supervised",
        "backbone": "tiny",
        "init": "random",
        "modalities": ("rgb",),
        "augmentations": (),
        "label_fraction": 1.0,
        "seed": 0,
        "params": {"optim": {"epochs": 2}},
        "config_hash": run_id,
        "n_folds": 2,
        "transductive": False,
        "git_commit": "abc",
        "environment": {"python": "3"},
    }
    return RunRow(**(values | changes))


def _fold(number: int, score: float = 0.7) -> FoldBundle:
    ids = tuple(name for name, part in FOLDS.items() if part == number)
    rows = [IDS.index(name) for name in ids]
    decided = np.array([DECIDED[name] for name in ids], dtype=np.uint8)
    return FoldBundle(
        fold=number,
        seconds=10.0 + number,
        predictions=Predictions(
            ids, ("rot", "scar"), LABELS[rows], np.full((len(ids), 2), score, np.float32), decided
        ),
        metrics=(MetricValue("mcc", 0.1 * number),),
        curves=(CurvePoint(1, "train", "loss", 0.5), CurvePoint(2, "train", "loss", 0.4)),
        notes=(("kept_epoch", "2"),),
    )


def _complete(store: RunStore, run: RunRow, mcc: float, parts: tuple[int, ...] = (0, 1)) -> None:
    store.start_run(run)
    for number in parts:
        store.write_fold(run.run_id, _fold(number))
    store.finish_run(
        run.run_id, [MetricValue("mcc", mcc, None, mcc - 0.1, mcc + 0.1), MetricValue("mcc", 0.3, "rot")]
    )


@pytest.fixture(scope="session")
def data_set() -> Callable[..., FruitDataset]:
    """``data_set(id, **changes)``: six fruit of three groups with two defects."""
    return _data_set


@pytest.fixture(scope="session")
def row() -> Callable[..., RunRow]:
    """``row(id, study, data set, **changes)``: a run that was not started."""
    return _row


@pytest.fixture(scope="session")
def folds() -> dict[str, int]:
    """Five of the six fruit to their outer folds; the sixth has no label."""
    return FOLDS


@pytest.fixture(scope="session")
def complete() -> Callable[..., None]:
    """``complete(store, run, mcc)``: start a run, write its folds, finish it."""
    return _complete


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that no test changes."""
    path = tmp_path_factory.mktemp("queries") / "store.db"
    with RunStore(path) as store:
        store.add_dataset(_data_set(), ["one warning"])
        store.start_study(StudyRow("s1", "first", {"plan": 1}, "d1", "mcc", FOLDS))
        store.start_run(_row("pre", kind="pretrain", method="simclr"))
        store.finish_run("pre", [])
        _complete(store, _row("base"), 0.5)
        _complete(store, _row("base2", name="name of base"), 0.55)
        _complete(store, _row("fine", kind="finetune", method="simclr", init="ssl", parent_run_id="pre"), 0.6)
        for run_id in ("bad1", "bad2"):
            store.start_run(_row(run_id, purpose="tune", modalities=("rgb", "nir")))
            store.end_run(run_id, "failed", "out of 100% memory")
        store.start_run(_row("slow"))
        store.add_comparisons(
            [ComparisonRow("base", "fine", "mcc", "t", None, 0.1, 0.02, 0.18, 0.01, 0.02, "q", 5, "better")]
        )
        store.update_progress("s1", {"stage": "final", "done": 3, "total": 9, "seconds_left": 60})
        store.add_dataset(_data_set("d2", name="empty"), [])
        with store.transaction() as connection:
            connection.execute("UPDATE run SET heartbeat = '2020-01-01' WHERE run_id = 'slow'")
    return path


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """The read side of that store."""
    connection = open_readonly(path)
    yield connection
    connection.close()

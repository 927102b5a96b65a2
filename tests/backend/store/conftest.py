"""A small data set, its studies and runs, and folds to write: what every store test starts from."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from backend.config import DataConfig, ModelConfig, RunConfig
from backend.data.dataset import Defect, FruitDataset
from backend.store.bundle import (
    ArtifactData,
    AttributionData,
    CurvePoint,
    EmbeddingData,
    FoldBundle,
    MetricValue,
    Predictions,
)
from backend.store.connection import open_readonly
from backend.store.recompute import recompute
from backend.store.rows import ComparisonRow, RunRow, StudyRow
from backend.store.writer import RunStore

STUDY = "study-1"
FRUIT = tuple(f"fruit-{k}" for k in (7, 3, 11, 1, 20, 5, 2, 9, 4, 8))
FOLDS = {name: k // 2 % 2 for k, name in enumerate(FRUIT)}  # a pallet, two fruit, is in one fold


def _dataset(task: str) -> FruitDataset:
    names = ("stem-end rot", "bruising") if task == "multilabel" else ("a-quality", "unripe", "mould")
    n, d = len(FRUIT), len(names)
    if task == "multilabel":
        labels = np.array([[k % 2, np.nan if k == 4 else (k // 2) % 2] for k in range(n)], np.float32)
    else:
        labels = np.eye(d, dtype=np.float32)[np.arange(n) % d]
    return FruitDataset(
        root=Path("fruit"),
        name="tiny",
        task=task,
        healthy="a-quality",
        synthetic=True,
        description="ten fruit",
        licence="CC0",
        source="a test",
        defects=tuple(Defect(name, "internal" if k == 0 else "external") for k, name in enumerate(names)),
        fruit_ids=FRUIT,
        groups=tuple(f"pallet {k // 2}" for k in range(n)),
        fixed_split=None,
        labels=labels,
        pressure_names=("tap",),
        pressures=np.linspace(0, 1, n, dtype=np.float32)[:, None],
        modalities={"rgb": ("1", "2")},
        paths={
            ("rgb", "1"): tuple(f"rgb/{name}-1.png" for name in FRUIT),
            ("rgb", "2"): ("", *(f"rgb/{name}-2.png" for name in FRUIT[1:])),
        },
        dataset_id=f"data-{task}",
        label_version="labels-1",
    )


@pytest.fixture
def dataset() -> FruitDataset:
    return _dataset("multilabel")


@pytest.fixture
def classes() -> FruitDataset:
    return _dataset("multiclass")


@pytest.fixture
def make_run(dataset: FruitDataset) -> Callable[..., RunRow]:
    def make(seed: int = 0, study_id: str = STUDY, dataset_id: str = dataset.dataset_id, **values) -> RunRow:
        config = RunConfig(
            seed=seed,
            model=ModelConfig(modalities=("rgb", "pressure")),
            data=DataConfig(folds=2),
            **values,
        )
        return RunRow.from_config(
            config,
            study_id=study_id,
            dataset_id=dataset_id,
            n_folds=2,
            environment={"host": "here"},
            git_commit="c0ffee",
        )

    return make


@pytest.fixture
def make_fold() -> Callable[..., FoldBundle]:
    """``make_fold(dataset, fold)``: predictions of the fold's fruit, and one of everything else."""

    def make(dataset: FruitDataset, fold: int, seed: int = 0, *, files: bool = True) -> FoldBundle:
        rng = np.random.default_rng((seed, fold))
        held_out = [k for k, name in enumerate(dataset.fruit_ids) if FOLDS[name] == fold]
        score = rng.random((len(held_out), len(dataset.defects)), dtype=np.float32)
        chosen = (score > 0.5).astype(np.uint8)
        if dataset.task == "multiclass":
            chosen = np.eye(score.shape[1], dtype=np.uint8)[score.argmax(axis=1)]
        ids = tuple(dataset.fruit_ids[k] for k in held_out)
        name = f"fold{fold}/heat.png"
        return FoldBundle(
            fold=fold,
            seconds=1.5 + fold,
            predictions=Predictions(
                ids, dataset.defect_names, dataset.labels[held_out].astype(np.float32), score, chosen
            ),
            metrics=(MetricValue("inner_mcc", 0.5 + fold / 10), MetricValue("loss", None, reason="no data")),
            curves=tuple(CurvePoint(k, "train", "loss", 1 / k) for k in (1, 2, 3)),
            artifacts=(ArtifactData(name, "heat map", rng.bytes(64)),) if files else (),
            attributions=(AttributionData(ids[0], "bruising", "rgb", "1", name, {"iou": 0.5}),)
            if files
            else (),
            embeddings=(EmbeddingData("pca", ids, rng.random((len(ids), 2), dtype=np.float32)),),
            notes=(("best epoch", "3"),),
        )

    return make


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "store.db"


@pytest.fixture
def start(dataset: FruitDataset) -> Callable[..., None]:
    """``start(store)``: data set and study, as every driver does first."""

    def begin(store: RunStore, data: FruitDataset = dataset, study_id: str = STUDY) -> None:
        store.add_dataset(data, ["two fruit look alike"])
        store.start_study(StudyRow(study_id, "quick", {"trials": 3}, data.dataset_id, "mcc", FOLDS))

    return begin


@pytest.fixture
def fill(start, make_run, make_fold, dataset) -> Callable[..., str]:
    """``fill(store)``: a study with one complete run of two folds; returns the run's id."""

    def full(store: RunStore, data: FruitDataset = dataset, seed: int = 0, **values) -> str:
        start(store, data)
        run = make_run(seed=seed, dataset_id=data.dataset_id, **values)
        store.start_run(run)
        for fold in (0, 1):
            store.write_fold(run.run_id, make_fold(data, fold, seed))
        store.finish_run(run.run_id, [MetricValue("mcc", 0.25, ci_low=0.1, ci_high=0.4)])
        return run.run_id

    return full


@pytest.fixture
def store(store_path: Path) -> Iterator[RunStore]:
    with RunStore(store_path, "tests") as opened:
        yield opened


@pytest.fixture
def started_run(store, start, make_run) -> RunRow:
    """A run of the study that has begun and has no fold yet."""
    start(store)
    run = make_run()
    store.start_run(run)
    return run


@pytest.fixture
def query(store) -> Callable[..., list[tuple]]:
    """``query(sql, *values)``: rows of the store as tuples."""

    def rows(sql: str, *values) -> list[tuple]:
        return [tuple(row) for row in store.rows(sql, *values)]

    return rows


@pytest.fixture
def sound(store, fill, store_path) -> tuple[Path, list[str]]:
    """A closed store with two complete runs whose metrics are right: its path and their ids."""
    runs = []
    for seed in (0, 1):
        run_id = fill(store, seed=seed)
        values = recompute(store.load_predictions(run_id), "multilabel")
        store.finish_run(
            run_id, [MetricValue(name, value, defect) for (name, defect), value in values.items()]
        )
        runs.append(run_id)
    store.add_comparisons([ComparisonRow(*runs, "mcc", "McNemar", delta=0.1)])
    store.finish_study(STUDY, "complete", {})
    store.close()
    return store_path, runs


@pytest.fixture
def plant() -> Callable[..., None]:
    """``plant(path, sql, *values)``: change a store behind its writer's back."""

    def change(path: Path, sql: str, *values) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(sql, values)
            connection.commit()

    return change


@pytest.fixture
def contents() -> Callable[[Path], dict[str, list[tuple]]]:
    def rows(path: Path) -> dict[str, list[tuple]]:
        """Every row of every table, times left out: what two equal stores have in common."""
        with closing(open_readonly(path)) as connection:
            tables = [
                row[0]
                for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                if not row[0].startswith("sqlite_")
            ]
            rows = {}
            for table in tables:
                columns = [
                    row[1]
                    for row in connection.execute(f"PRAGMA table_info({table})")
                    if row[1] not in ("started", "finished", "heartbeat")
                ]
                rows[table] = sorted(
                    (tuple(row) for row in connection.execute(f"SELECT {', '.join(columns)} FROM {table}")),
                    key=repr,
                )
        return rows

    return rows

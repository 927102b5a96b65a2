"""Predictions that look like a trained model's, for both tasks."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from backend.evaluation.compare import compare
from backend.evaluation.pairing import RunMeta, RunPredictions
from backend.store.bundle import Predictions
from backend.store.rows import ComparisonRow

MULTICLASS_KINDS = {"ripe": "other", "unripe": "external", "occluded": "external", "rotten": "internal"}
MULTILABEL_KINDS = {
    "stem-end rot": "internal",
    "body rot": "internal",
    "wind scar": "external",
    "odd": "other",
}


def _multiclass(n: int = 300, seed: int = 0, skill: float = 1.5, n_classes: int = 4) -> Predictions:
    rng = np.random.default_rng(seed)
    true = rng.choice(n_classes, n, p=np.arange(n_classes, 0, -1) / np.arange(n_classes, 0, -1).sum())
    logits = rng.normal(size=(n, n_classes)) + skill * np.eye(n_classes)[true]
    score = np.exp(logits)
    score /= score.sum(axis=1, keepdims=True)
    names = (
        tuple(MULTICLASS_KINDS)[:n_classes] if n_classes <= 4 else tuple(f"c{j}" for j in range(n_classes))
    )
    return Predictions(
        fruit_ids=tuple(f"f{i}" for i in range(n)),
        defects=names,
        y_true=np.eye(n_classes, dtype=np.float32)[true],
        score=score.astype(np.float32),
        y_pred=np.eye(n_classes, dtype=np.uint8)[score.argmax(axis=1)],
    )


def _multilabel(n: int = 300, seed: int = 0, skill: float = 1.5, unlabelled: float = 0.1) -> Predictions:
    rng = np.random.default_rng(seed)
    true = (rng.random((n, 4)) < [0.15, 0.3, 0.4, 0.1]).astype(np.float32)
    logits = rng.normal(size=true.shape) + skill * (true - 0.5)
    # Rounded scores tie, as real ones do at small resolution.
    score = np.round(1 / (1 + np.exp(-logits)), 2).astype(np.float32)
    true[rng.random(true.shape) < unlabelled] = np.nan
    return Predictions(
        fruit_ids=tuple(f"f{i}" for i in range(n)),
        defects=tuple(MULTILABEL_KINDS),
        y_true=true,
        score=score,
        y_pred=(score >= 0.5).astype(np.uint8),
    )


class Bench:
    """Fruit with true labels, hard and easy ones, in folds; trains models that are as good as told."""

    names = ("stem-end rot", "body rot", "wind scar")
    task: ClassVar = {
        "task": "multilabel",
        "healthy": "a-quality",
        "kinds": {"stem-end rot": "internal", "body rot": "internal", "wind scar": "external"},
    }

    def __init__(self, seed, n=320, n_folds=5, per_group=1):
        self.rng = np.random.default_rng(seed)
        self.ids = tuple(f"f{i}" for i in range(n))
        self.true = (self.rng.random((n, 3)) < [0.2, 0.3, 0.4]).astype(np.float32)
        self.hardness = self.rng.normal(size=(n, 3))
        group = np.arange(n) // per_group
        self.folds = (self.rng.permutation(group.max() + 1) % n_folds)[group]
        self.groups = {fruit: f"g{g}" for fruit, g in zip(self.ids, group, strict=True)}

    def run(self, run_id, skill=(3.0, 3.0, 3.0), luck=0.0):
        """``luck``: how much each fold's model differs in skill and threshold from another of its kind."""
        logits = np.empty(self.true.shape)
        for fold in np.unique(self.folds):
            rows = self.folds == fold
            mine = np.array(skill) + luck * self.rng.normal(size=3)
            noise = self.rng.normal(size=(rows.sum(), 3))
            shift = luck * self.rng.normal(size=3)
            logits[rows] = mine * (self.true[rows] - 0.5) + self.hardness[rows] + noise + shift
        score = (1 / (1 + np.exp(-logits))).astype(np.float32)
        predictions = Predictions(self.ids, self.names, self.true, score, (score >= 0.5).astype(np.uint8))
        meta = RunMeta(run_id, "data", "labels", "folds", False, frozenset(self.ids))
        return RunPredictions(meta, predictions, self.folds)

    def compare(self, a, b, **options):
        return compare(a, b, **self.task, groups=self.groups, **options)


@pytest.fixture
def new_bench() -> type[Bench]:
    """``new_bench(seed, n, n_folds, per_group)``: see ``Bench``."""
    return Bench


@pytest.fixture
def pick() -> Callable[..., ComparisonRow]:
    """``pick(rows, test, defect, metric)``: the one row that answers a question."""

    def the_row(
        rows: list[ComparisonRow], test: str = "bootstrap", defect: str | None = None, metric: str = "mcc"
    ) -> ComparisonRow:
        (row,) = [r for r in rows if (r.test, r.defect, r.metric) == (test, defect, metric)]
        return row

    return the_row


@pytest.fixture
def multiclass() -> Callable[..., Predictions]:
    """Makes predictions of a 4-class model: ``multiclass(n, seed, skill)``."""
    return _multiclass


@pytest.fixture
def multilabel() -> Callable[..., Predictions]:
    """Makes predictions of a 4-defect model, partly labelled: ``multilabel(n, seed, skill)``."""
    return _multilabel


@pytest.fixture
def sorter() -> Callable[[str], dict]:
    """The arguments that say what the names of a task mean."""
    return lambda task: {
        "task": task,
        "healthy": "ripe" if task == "multiclass" else "a-quality",
        "kinds": MULTICLASS_KINDS if task == "multiclass" else MULTILABEL_KINDS,
    }


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small products are faster on one thread, and tests run beside each other."""
    with threadpool_limits(limits=1):
        yield

"""Predictions that look like a trained model's, for both tasks."""

from collections.abc import Callable

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from backend.store.bundle import Predictions

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

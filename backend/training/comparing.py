"""From runs in the store to comparisons in the store: the one way in which every stage compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backend.evaluation import compare
from backend.evaluation.pairing import RunMeta, RunPredictions
from backend.store.rows import COMPLETE, ComparisonRow, is_transductive
from backend.training.driver import Driver, RunResult

METRICS = ("mcc", "recall")
"""What is compared: the MCC that choices are made by, and the share found, which people ask for."""


def compare_runs(
    driver: Driver, a: Sequence[RunResult], b: Sequence[RunResult], *, family: str, seed: int
) -> list[ComparisonRow]:
    """Compare run b with run a, for every pair of complete runs at once, and store what was found.

    Args:
        driver: of the study that both sides belong to.
        a: runs of one configuration, one a seed.
        b: runs of the other; the i-th runs of both sides have the same seed, and count only where both are
            complete and neither was pretrained on test fruit.
        family: first word of the stored ``family``: the question that is asked.
        seed: of the bootstrap.

    Returns:
        The stored rows; none where no pair is left.

    Raises:
        DataError: the runs are not comparable.
    """
    pairs = [pair for pair in zip(a, b, strict=True) if all(_counts(run) for run in pair)]
    if not pairs:
        return []
    dataset = driver.context.dataset
    found = compare.compare(
        [run_predictions(driver, run) for run, _ in pairs],
        [run_predictions(driver, run) for _, run in pairs],
        task=dataset.task,
        healthy=dataset.healthy,
        kinds={defect.name: defect.kind for defect in dataset.defects},
        groups=dict(zip(dataset.fruit_ids, dataset.groups, strict=True)),
        metrics=METRICS,
        seed=seed,
    )
    rows = [replace(row, family=f"{family}: {row.family}") for row in found]
    driver.store.add_comparisons(rows)
    return rows


def _counts(run: RunResult) -> bool:
    return run.status == COMPLETE and not is_transductive(run.config)


def run_predictions(driver: Driver, run: RunResult) -> RunPredictions:
    """The pooled predictions of a complete run, and what decides whether it may be compared."""
    context = driver.context
    predictions = driver.store.load_predictions(run.run_id)
    fold_of = dict(zip(context.dataset.fruit_ids, context.folds.tolist(), strict=True))
    study = driver.store.study(driver.study_id)
    assert study is not None, "the study of a running driver is in the store"
    meta = RunMeta(
        run_id=run.run_id,
        dataset_id=context.dataset.dataset_id,
        label_version=context.dataset.label_version,
        fold_version=study.fold_version,
        transductive=is_transductive(run.config),
        test_fruit=frozenset(predictions.fruit_ids),
    )
    folds = np.array([fold_of[name] for name in predictions.fruit_ids], dtype=np.intp)
    return RunPredictions(meta, predictions, folds)

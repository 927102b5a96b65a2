"""From runs in the store to comparisons in the store."""

from __future__ import annotations

import numpy as np

from backend.evaluation import compare
from backend.evaluation.pairing import RunMeta, RunPredictions
from backend.store.rows import ComparisonRow
from backend.training.driver import Driver, RunResult


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
        transductive=run.config.kind != "baseline" and run.config.data.pool == "all",
        test_fruit=frozenset(predictions.fruit_ids),
    )
    folds = np.array([fold_of[name] for name in predictions.fruit_ids], dtype=np.intp)
    return RunPredictions(meta, predictions, folds)


def store_rows(driver: Driver, rows: list[compare.ComparisonRow]) -> None:
    """Write comparisons."""
    driver.store.add_comparisons(
        [
            ComparisonRow(
                run_id_a=row.run_id_a,
                run_id_b=row.run_id_b,
                metric=row.metric,
                test=row.test,
                defect=row.defect,
                delta=row.delta,
                ci_low=row.ci_low,
                ci_high=row.ci_high,
                p_value=row.p_value,
                p_adjusted=row.p_adjusted,
                family=row.family,
                n=row.n,
                verdict=row.verdict,
            )
            for row in rows
        ]
    )

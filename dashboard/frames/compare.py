"""Any set of runs beside each other: settings that differ, metrics, and curves. Pure."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from dashboard.format import with_interval
from dashboard.frames.tuning import flat, words_of
from dashboard.names import defect_words

FIRST = ("mcc", "recall", "precision", "average_precision", "auroc", "accuracy")
SILENT = frozenset({"seed", "purpose", "kind", "parent", "label"})
"""Settings that the labels of the runs say already."""


def setting_rows(params: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Settings that differ between runs, a row a setting and a column a run.

    Args:
        params: label of a run to its configuration.
    """
    rows = {label: {k: _shown(v) for k, v in flat(values).items()} for label, values in params.items()}
    names = list(dict.fromkeys(name for values in rows.values() for name in values))
    differ = [
        name
        for name in names
        if name not in SILENT and len({values.get(name, "") for values in rows.values()}) > 1
    ]
    table = {label: [values.get(name, "") for name in differ] for label, values in rows.items()}
    return pd.DataFrame(table, index=pd.Index([words_of(name) for name in differ]))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def metric_rows(
    metrics: pd.DataFrame, labels: dict[str, str], defects: tuple[str, ...], overall: str, metric: str
) -> pd.DataFrame:
    """One metric of several runs, a row a defect and a column a run, with intervals.

    Args:
        metrics: see ``results.pooled_metrics``.
        labels: run id to label.
        defects: in the fixed order.
        overall: what the row over all defects is called.
        metric: which.
    """
    own = metrics[metrics["metric"] == metric]
    rows: dict[str, list[str]] = {}
    names: list[str | None] = [None, *defects]
    for run_id, label in labels.items():
        run = own[own["run_id"] == run_id]
        cells = {
            None if pd.isna(defect) else defect: with_interval(value, low, high)
            for defect, value, low, high in zip(
                run["defect"], run["value"], run["ci_low"], run["ci_high"], strict=True
            )
        }
        rows[label] = [cells.get(name, "") for name in names]
    index = pd.Index([overall if name is None else defect_words(name) for name in names])
    table = pd.DataFrame(rows, index=index)
    return table[(table != "").any(axis=1)]


def curve_rows(curves: dict[str, pd.DataFrame], metric: str, split: str) -> pd.DataFrame:
    """One curve a run, the mean over its folds, for ``charts.overlay.overlaid``.

    Args:
        curves: label to ``runs.curves``.
        metric: which.
        split: which part of the data.

    Returns:
        epoch, value, low, high (of the folds), run.
    """
    parts = []
    for label, rows in curves.items():
        own = rows[(rows["metric"] == metric) & (rows["split"] == split) & rows["value"].notna()]
        folds = own.groupby("epoch")["value"].agg(["mean", "min", "max"]).reset_index()
        parts.append(folds.set_axis(["epoch", "value", "low", "high"], axis=1).assign(run=label))
    if not parts:
        return pd.DataFrame(columns=["epoch", "value", "low", "high", "run"])
    return pd.concat(parts, ignore_index=True)

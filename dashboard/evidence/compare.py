"""Any set of runs beside each other, in a sentence and in figures."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboard import texts
from dashboard.charts.overlay import MOST_RUNS, overlaid
from dashboard.figure import Figure
from dashboard.format import number, plural
from dashboard.frames.compare import curve_rows
from dashboard.scope import Scope, labelled

WORDS = texts.COMPARE
QUOTED = ("mcc", "recall", "precision", "accuracy", "average_precision", "auroc", "inner_mcc")
MOST_FIGURES = 6


def chosen(scope: Scope, run_ids: list[str]) -> dict[str, dict[str, Any]]:
    """The runs of a set that are in the store, under labels that differ; the first ``MOST_RUNS`` of them."""
    found = [run for run in (scope.store.run(run_id) for run_id in run_ids) if run is not None][:MOST_RUNS]
    seeds = [texts.RUNS["seed"].format(seed=run["seed"]) for run in found]
    labels = labelled([str(run["name"]) for run in found], seeds)
    return dict(zip(labels, found, strict=True))


def said(runs: dict[str, dict[str, Any]], metrics: pd.DataFrame, differing: int) -> str:
    """Who is ahead, and in how much they differ."""
    whole = metrics[metrics["defect"].isna() & (metrics["metric"] == "mcc") & metrics["value"].notna()]
    values = dict(zip(whole["run_id"], whole["value"].astype(float), strict=True))
    ahead = max(runs, key=lambda label: values.get(runs[label]["run_id"], float("-inf")))
    settings = plural(differing, WORDS["setting"])
    if not values:
        return WORDS["answer_without"].format(n=len(runs), settings=settings)
    return WORDS["answer"].format(
        n=len(runs), settings=settings, run=ahead, value=number(values.get(runs[ahead]["run_id"]))
    )


def curves(scope: Scope, runs: dict[str, dict[str, Any]]) -> tuple[Figure, ...]:
    """One figure a metric that at least two of the runs have a curve of, or one where no two share any."""
    read = {label: scope.store.curves(run["run_id"]) for label, run in runs.items()}
    pairs: dict[tuple[str, str], int] = {}
    for rows in read.values():
        for pair in rows[["metric", "split"]].drop_duplicates().itertuples(index=False, name=None):
            pairs[pair] = pairs.get(pair, 0) + 1
    shared = [pair for pair, n in sorted(pairs.items()) if n > 1] or sorted(pairs)
    shared.sort(key=lambda pair: (pair[1] != "val", pair[0]))
    return tuple(_curve(read, metric, split) for metric, split in shared[:MOST_FIGURES])


def _curve(read: dict[str, pd.DataFrame], metric: str, split: str) -> Figure:
    part = texts.RUNS.get(split, split)
    name = texts.METRICS.get(metric, metric)
    return Figure(
        name=f"curves-{metric}-{split}",
        title=f"{name}, {part}",
        sentence=WORDS["curve"].format(metric=name, part=part),
        chart=overlaid,
        frame=curve_rows(read, metric, split),
        options={"axes": (texts.RUNS["epoch"], name), "runs": tuple(read)},
    )

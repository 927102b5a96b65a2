"""Sensors: what every combination of them finds, and what each one adds."""

from __future__ import annotations

import pandas as pd

from backend.store.queries import ablations as queries
from dashboard import texts
from dashboard.answers import Answer, sentence_start
from dashboard.charts.bars import interval_bars
from dashboard.charts.grid import value_grid
from dashboard.figure import Figure
from dashboard.frames.inputs import Ablation, ablations, grid_rows, sensor_words, shapley_rows
from dashboard.scope import Scope
from dashboard.theme import Tint

WORDS = texts.INPUTS
PURPOSE = "input-ablation"
SHADE = Tint("other", 2)


def found(scope: Scope) -> list[Ablation]:
    """The ablations of the chosen study; those of other methods than the chosen one are left out."""
    runs = scope.store.ask(queries.finished, scope.dataset.dataset_id, scope.study_id, ("final", PURPOSE))
    if scope.method:
        runs = runs[(runs["method"] == scope.method) | (runs["kind"] == "baseline")]
    return ablations(runs, scope.dataset)


def heat_map(scope: Scope, ablation: Ablation, metric: str, answer: Answer) -> Figure:
    """Every combination of sensors against every defect."""
    metrics = scope.store.pooled_metrics(ablation.every_run, (metric,))
    overall = "" if len(scope.defects) == 1 else _overall(scope)
    frame = grid_rows(ablation, metrics, scope.defects, metric, overall)
    return Figure(
        name=f"sensors-{metric}",
        title=WORDS["heat_map"].format(model=ablation.name),
        sentence=answer.text,
        chart=value_grid,
        frame=frame[["row", "column", "part", "large", "small", "shade", "words"]],
        options={
            "rows": tuple(frame["row"].drop_duplicates()),
            "columns": tuple(frame["column"].drop_duplicates()),
            "tint": SHADE,
            "axis": WORDS[f"{metric}_axis"],
            "marked": True,
        },
        table=frame.loc[frame["part"] == "cell", ["row", "column", "value", "low", "high", "runs"]],
    )


def _overall(scope: Scope) -> str:
    return WORDS["all_classes" if scope.multiclass else "all_defects"]


def shapley(scope: Scope, ablation: Ablation) -> tuple[Figure, ...]:
    """What each sensor adds to the agreement, a figure a sensor; empty where it is not in the store."""
    if ablation.full is None:
        return ()
    names = tuple(f"shapley:{sensor}" for sensor in ablation.sensors)
    metrics = scope.store.pooled_metrics((ablation.full,), names)
    if metrics.empty:
        return ()
    overall = "" if len(scope.defects) == 1 else _overall(scope)
    frames = {
        sensor: shapley_rows(metrics, ablation.full, sensor, scope.defects, overall)
        for sensor in ablation.sensors
    }
    both = pd.concat(frames.values())[["value", "low", "high"]].astype(float)
    low, high = min(0.0, float(both.min().min())), max(0.05, float(both.max().max()))
    return tuple(
        Figure(
            name=f"shapley-{sensor}",
            title=sentence_start(sensor_words(sensor)),
            sentence=WORDS["adds"].format(n=frame["text"].iloc[0], what=frame["name"].iloc[0]),
            chart=interval_bars,
            frame=frame,
            options={"order": tuple(frame["name"]), "axis": WORDS["shapley_axis"], "domain": (low, high)},
        )
        for sensor, frame in frames.items()
    )


def reliance(scope: Scope, ablation: Ablation) -> pd.DataFrame:
    """MCC of the trained model when a sensor is missing, hidden or exchanged; empty where nothing is stored.

    Returns:
        sensor_column, retrained, hidden, exchanged.
    """
    if ablation.full is None:
        return pd.DataFrame()
    kinds = {"hidden": "mcc_without", "exchanged": "mcc_permuted"}
    names = tuple(f"{kind}:{sensor}" for kind in kinds.values() for sensor in ablation.sensors)
    own = scope.store.pooled_metrics((ablation.full,), names)
    whole = scope.store.pooled_metrics(ablation.every_run, ("mcc",))
    if own.empty:
        return pd.DataFrame()
    rows = []
    for sensor in ablation.sensors:
        row = {
            "sensor_column": sensor_words(sensor),
            "retrained": _of(scope, whole, ablation.without(sensor), "mcc"),
        }
        for column, kind in kinds.items():
            row[column] = _of(scope, own, ablation.full, f"{kind}:{sensor}")
        rows.append(row)
    return pd.DataFrame(rows)


def _of(scope: Scope, metrics: pd.DataFrame, run_id: str | None, metric: str) -> float | None:
    of = metrics["defect"].isna() if scope.one_defect is None else metrics["defect"] == scope.one_defect
    rows = metrics[of & (metrics["run_id"] == run_id) & (metrics["metric"] == metric)]
    return None if rows.empty else rows["value"].iloc[0]

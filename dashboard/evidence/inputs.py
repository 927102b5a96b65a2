"""Sensors: what every combination of them finds, and what each one adds."""

from __future__ import annotations

import json

import pandas as pd

from backend.store.queries import ablations as queries
from dashboard import texts
from dashboard.answers import Answer
from dashboard.charts.bars import interval_bars
from dashboard.charts.grid import value_grid
from dashboard.figure import Figure
from dashboard.format import number, sentence_start
from dashboard.frames.defects import headed
from dashboard.frames.inputs import Ablation, ablations, alone, grid_rows, sensor_words, shapley_rows
from dashboard.names import subject
from dashboard.scope import Scope
from dashboard.theme import Tint

WORDS = texts.INPUTS
PURPOSE = "input-ablation"
SHADE = Tint("other", 2)


def found(scope: Scope) -> list[Ablation]:
    """The ablations of the chosen study; those of other methods than the chosen one are left out."""
    return ablations(scope.keep_method(_trained(scope, scope.study_id)), scope.dataset)


def of_the_data(scope: Scope) -> list[Ablation]:
    """The ablations of every study of these fruit: what a sensor can tell is theirs, not a study's."""
    return ablations(_trained(scope, ""), scope.dataset)


def _trained(scope: Scope, study_id: str) -> pd.DataFrame:
    return scope.store.ask(queries.finished, scope.dataset.dataset_id, study_id, ("final", PURPOSE))


def only_sensor(scope: Scope) -> Ablation | None:
    """The final baseline on the only sensor, whose views can fail; None where it is not finished."""
    runs = scope.store.ask(queries.finished, scope.dataset.dataset_id, scope.study_id, ("final",))
    runs = scope.keep_recent(runs)
    return alone(runs[(runs["kind"] == "baseline") & (runs["label_fraction"] == 1)])


def heat_map(scope: Scope, ablation: Ablation, metric: str, answer: Answer) -> Figure:
    """Every combination of sensors against every defect."""
    metrics = scope.store.pooled_metrics(ablation.every_run, (metric,))
    overall = "" if len(scope.defects) == 1 else _overall(scope)
    counts = scope.store.defect_counts(scope.dataset.dataset_id)
    n = dict(zip(counts["defect"], counts["positives"], strict=True))
    heads = {name: headed(name, n.get(name)) for name in scope.defects}
    frame = grid_rows(ablation, metrics, heads, metric, overall)
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


def own_training(scope: Scope, ablation: Ablation) -> str:
    """What to make of it where this page's model with every sensor is another one than the final result."""
    runs = scope.store.scored_runs(scope.dataset.dataset_id, scope.study_id, ("final",))
    alike = [
        subject(str(method)) == ablation.name and set(json.loads(sensors)) == set(ablation.sensors)
        for method, sensors in zip(runs["method"], runs["modalities"], strict=True)
    ]
    finals = runs[pd.Series(alike, index=runs.index, dtype=bool) & (runs["label_fraction"] == 1)]
    if ablation.full is None or finals.empty or ablation.full in set(finals["run_id"]):
        return ""
    ids = (ablation.full, str(finals["run_id"].iloc[0]))
    known = scope.store.pooled_metrics(ids, ("mcc",))
    whole = known[known["defect"].isna()].set_index("run_id")["value"]
    if not {*ids} <= {*whole.index}:
        return ""
    here, final = (number(float(whole[run_id])) for run_id in ids)
    return texts.CAVEATS["own_training"].format(here=here, final=final)


def _overall(scope: Scope) -> str:
    return WORDS["all_classes" if scope.multiclass else "all_defects"]


def shapley_values(scope: Scope, ablation: Ablation) -> pd.DataFrame:
    """What each sensor adds to the agreement; see ``results.pooled_metrics``. Empty where it is not known."""
    runs = () if ablation.full is None else (ablation.full,)
    return scope.store.pooled_metrics(runs, tuple(f"shapley:{sensor}" for sensor in ablation.sensors))


def shapley(scope: Scope, ablation: Ablation) -> tuple[Figure, ...]:
    """What each sensor adds to the agreement, a figure a sensor; empty where it is not in the store."""
    metrics = shapley_values(scope, ablation)
    if metrics.empty or ablation.full is None:
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

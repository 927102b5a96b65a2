"""What if a sensor or a camera fails: the trained model with an input hidden, without training it again."""

from __future__ import annotations

import pandas as pd

from dashboard import texts
from dashboard.charts.bars import interval_bars
from dashboard.figure import Figure
from dashboard.format import missing, number, sentence_start, with_interval
from dashboard.frames.inputs import Ablation, sensor_words
from dashboard.names import defect_words
from dashboard.rows import of_defect
from dashboard.scope import Scope

WORDS = texts.INPUTS
HIDDEN, HIDDEN_VIEW, EXCHANGED = "mcc_without", "mcc_without_view", "mcc_permuted"


def figure(scope: Scope, ablation: Ablation) -> Figure | None:
    """Agreement with everything at work, without each sensor and without each camera view.

    Returns:
        None where the store does not say what happens without an input.
    """
    frame = _rows(scope, ablation)
    if len(frame) < 2:
        return None
    values = frame[["value", "low", "high"]].astype(float)
    return Figure(
        name="sensors-fail",
        title=WORDS["failures_title"],
        sentence=_sentence(frame),
        chart=interval_bars,
        frame=frame.drop(columns="sensor"),
        options={
            "order": tuple(frame["name"]),
            "axis": WORDS["failures_axis"],
            "domain": (min(0.0, float(values.min().min())), max(0.05, float(values.max().max()))),
        },
        table=frame[["name", "value", "low", "high"]],
    )


def _rows(scope: Scope, ablation: Ablation) -> pd.DataFrame:
    """The rows of the figure: everything at work, then the sensors, then their views, the worst first."""
    names = {"": "mcc", **{sensor: f"{HIDDEN}:{sensor}" for sensor in ablation.sensors}}
    views = {
        f"{sensor}:{view}": f"{HIDDEN_VIEW}:{sensor}:{view}"
        for sensor in ablation.sensors
        for view in scope.dataset.modalities.get(sensor, ())
    }
    known = _known(scope, ablation, (*names.values(), *views.values()))
    parts = []
    for group in (names, views):
        found = {part: known[metric] for part, metric in group.items() if metric in known}
        whole = [("", found.pop(""))] if "" in found else []
        parts += whole + sorted(found.items(), key=lambda pair: pair[1][0])
    return pd.DataFrame([_row(part, *values) for part, values in parts])


def _row(part: str, value: float, low: float, high: float) -> dict[str, object]:
    sensor, _, view = part.partition(":")
    key = "nothing_fails" if not part else "view_fails" if view else "sensor_fails"
    name = WORDS[key].format(sensor=sensor_words(sensor), view=view)
    return {
        "name": name,
        "value": value,
        "low": low,
        "high": high,
        "text": number(value),
        "words": f"{name}: {with_interval(value, low, high)}",
        "tone": "accent" if not part else "reference",
        "sensor": "" if view else sensor,
    }


def _sentence(frame: pd.DataFrame) -> str:
    """Which failing sensor hurts most, and whether that is more than chance."""
    whole = frame.iloc[0]
    sensors = frame[frame["sensor"] != ""]
    if whole["sensor"] or whole["tone"] != "accent" or sensors.empty:
        return WORDS["failures_alone"]
    worst = sensors.iloc[0]
    values = {
        "sensor": sensor_words(str(worst["sensor"])),
        "now": number(whole["value"]),
        "then": with_interval(worst["value"], worst["low"], worst["high"]),
    }
    apart = not missing(worst["high"]) and not missing(whole["low"]) and worst["high"] < whole["low"]
    key = "fails_clearly" if apart else "fails" if worst["value"] < whole["value"] else "fails_unharmed"
    return WORDS[key].format(**values)


def telling_views(scope: Scope, ablation: Ablation) -> list[str]:
    """Which view of a sensor alone shows a defect, a sentence for each where the intervals stand apart."""
    views = [(s, view) for s in ablation.sensors for view in scope.dataset.modalities.get(s, ())]
    names = {f"{HIDDEN_VIEW}:{sensor}:{view}": (sensor, view) for sensor, view in views}
    rows = scope.store.pooled_metrics((ablation.full or "",), tuple(names))
    rows = rows[rows["defect"].isin(scope.defects) & rows["ci_low"].notna()]
    dark: dict[tuple[str, str], list[tuple[float, float, float, str]]] = {}
    columns = (rows[name].tolist() for name in ("defect", "metric", "value", "ci_low", "ci_high"))
    for defect, metric, *numbers in zip(*columns, strict=True):
        sensor, view = names[metric]
        value, low, high = map(float, numbers)
        dark.setdefault((defect, sensor), []).append((value, low, high, view))
    said = []
    for (defect, sensor), members in dark.items():
        (value, low, high, view), *rest = sorted(members)
        if rest and high < min(other_low for _, other_low, *_ in rest):
            words = {
                "Defect": sentence_start(defect_words(defect)),
                "sensor": sensor_words(sensor),
                "view": view,
                "then": with_interval(value, low, high),
                "rest": number(rest[0][0]),
            }
            said.append(WORDS["view_tells"].format(**words))
    return said


def _known(
    scope: Scope, ablation: Ablation, metrics: tuple[str, ...]
) -> dict[str, tuple[float, float, float]]:
    """Metrics of the run with all sensors, over all defects or for the chosen one, with their intervals."""
    if ablation.full is None:
        return {}
    rows = scope.store.pooled_metrics((ablation.full,), metrics)
    about = of_defect(rows, scope.one_defect)
    rows = about[about["value"].notna()]
    numbers = rows[["value", "ci_low", "ci_high"]].astype(float).to_numpy()
    return {
        str(name): (float(a), float(b), float(c))
        for name, (a, b, c) in zip(rows["metric"], numbers, strict=True)
    }


def reliance(scope: Scope, ablation: Ablation) -> pd.DataFrame:
    """MCC with every sensor, without one in training, with one hidden and with one exchanged.

    Returns:
        sensor_column, complete, retrained, hidden, exchanged.
    """
    kinds = {"hidden": HIDDEN, "exchanged": EXCHANGED}
    names = tuple(f"{kind}:{sensor}" for kind in kinds.values() for sensor in ablation.sensors)
    own = scope.store.pooled_metrics((ablation.full or "",), names)
    whole = scope.store.pooled_metrics(ablation.every_run, ("mcc",))
    rows = []
    for sensor in ablation.sensors:
        row = {
            "sensor_column": sensor_words(sensor),
            "complete": _of(scope, whole, ablation.full, "mcc"),
            "retrained": _of(scope, whole, ablation.without(sensor), "mcc"),
        }
        for column, kind in kinds.items():
            row[column] = _of(scope, own, ablation.full, f"{kind}:{sensor}")
        rows.append(row)
    return pd.DataFrame(rows)


def _of(scope: Scope, metrics: pd.DataFrame, run_id: str | None, metric: str) -> float | None:
    about = of_defect(metrics, scope.one_defect)
    rows = about[(about["run_id"] == run_id) & (about["metric"] == metric)]
    return None if rows.empty else rows["value"].iloc[0]

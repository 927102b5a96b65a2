"""Sensor ablations: which runs belong to one, and the cells of its figures. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from backend.config import PRESSURE
from backend.store.queries.catalog import DatasetFacts
from dashboard import texts
from dashboard.format import DASH, count, missing, number, per_hundred, sensors, with_interval
from dashboard.names import defect_words, subject

WORDS = texts.INPUTS
Subset = tuple[str, ...]
NOTHING = 0.1
"""A sensor whose Shapley value is below this for certain adds next to nothing to the MCC."""


@dataclass(frozen=True)
class Mean:
    """A value over seeds with its interval; NaN where there is none."""

    value: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Ablation:
    """One model, trained with every combination of its sensors.

    Attributes:
        name: how people call the model.
        sensors: all of them, in the order of the data set.
        runs: combination to the ids of its runs, the lowest seed first.
        commit: of the code that trained them.
    """

    name: str
    sensors: Subset
    runs: dict[Subset, tuple[str, ...]]
    commit: object

    @property
    def full(self) -> str | None:
        """The run that stands for the model with all sensors; None while it is not finished."""
        return self.runs.get(self.sensors, (None,))[0]

    @property
    def subsets(self) -> tuple[Subset, ...]:
        """The combinations that were run, the largest first."""
        place = {name: i for i, name in enumerate(self.sensors)}
        return tuple(sorted(self.runs, key=lambda part: (-len(part), tuple(place[name] for name in part))))

    def without(self, sensor: str) -> str | None:
        """The run without one sensor; None where it is not finished, or no sensor would be left."""
        rest = tuple(name for name in self.sensors if name != sensor)
        return self.runs.get(rest, (None,))[0]

    @property
    def every_run(self) -> tuple[str, ...]:
        """All ids."""
        return tuple(run for part in self.subsets for run in self.runs[part])


def sensor_words(sensor: str) -> str:
    """A sensor as people write it: "NIR", "pressure"."""
    return sensors([sensor])


def ablations(runs: pd.DataFrame, dataset: DatasetFacts) -> list[Ablation]:
    """The sensor ablations among some runs, the baseline's first.

    Args:
        runs: see ``ablations.finished``, of purposes ``final`` and ``input-ablation``.
        dataset: whose sensors are meant.
    """
    order = [*dataset.modalities, *([PRESSURE] if dataset.pressures else [])]
    runs = runs[runs["kind"].isin(("baseline", "finetune")) & (runs["label_fraction"] == 1)]
    found = []
    same = ["study_id", "kind", "method", "backbone"]
    for _, members in runs.sort_values("seed", kind="stable").groupby(same, sort=False):
        ablated = _by_part(members[members["purpose"] == "input-ablation"], order)
        used = {name for part in ablated for name in part}
        full = tuple(name for name in order if name in used)
        if not full:
            continue
        # The final runs stand for all sensors, unless the ablation trained a full set of its own.
        final = _by_part(members[members["purpose"] == "final"], order).get(full)
        by_part = ({full: final} if final else {}) | ablated
        first = members.iloc[0]
        found.append(Ablation(subject(first["method"]), full, by_part, first["git_commit"]))
    return sorted(found, key=lambda one: one.name != subject("supervised"))


def alone(runs: pd.DataFrame) -> Ablation | None:
    """The latest of some runs with one and the same sensor as an ablation that left nothing out."""
    if runs.empty:
        return None
    last = runs.iloc[-1]
    sensors_of_it = tuple(json.loads(last["modalities"]))
    one: dict[Subset, tuple[str, ...]] = {sensors_of_it: (str(last["run_id"]),)}
    return Ablation(subject(last["method"]), sensors_of_it, one, last["git_commit"])


def _by_part(runs: pd.DataFrame, order: list[str]) -> dict[Subset, tuple[str, ...]]:
    """Combination of sensors to run ids, in the order of the rows."""
    found: dict[Subset, tuple[str, ...]] = {}
    for text, run_id in zip(runs["modalities"], runs["run_id"], strict=True):
        part = _in_order(str(text), order)
        found[part] = (*found.get(part, ()), str(run_id))
    return found


def _in_order(text: str, order: list[str]) -> Subset:
    named = json.loads(text)
    return tuple(sorted(named, key=lambda name: (order.index(name) if name in order else len(order), name)))


def averaged(metrics: pd.DataFrame, run_ids: tuple[str, ...], metric: str) -> dict[str, Mean]:
    """A metric of one configuration as means over its seeds.

    Returns:
        Of each defect; over all defects under "".
    """
    rows = metrics[metrics["run_id"].isin(run_ids) & (metrics["metric"] == metric)]
    numbers = rows.assign(
        defect=rows["defect"].fillna(""),
        value=pd.to_numeric(rows["value"]),
        low=pd.to_numeric(rows["ci_low"]),
        high=pd.to_numeric(rows["ci_high"]),
    )
    means = numbers.groupby("defect")[["value", "low", "high"]].mean()
    return {str(name): Mean(*row) for name, row in zip(means.index, means.to_numpy(), strict=True)}


def grid_rows(
    ablation: Ablation, metrics: pd.DataFrame, heads: dict[str, str], metric: str, overall: str
) -> pd.DataFrame:
    """The cells of sensors against defects, above them a dot for each sensor that a column has.

    Args:
        ablation: whose runs are shown.
        metrics: see ``results.pooled_metrics``.
        heads: the defects of the rows and what is written beside them.
        metric: ``recall`` or ``mcc``; shown of 100.
        overall: name of the row over all defects; empty = no such row.

    Returns:
        row, column, part, large, small, shade, words, sensors, value, low, high, runs.
    """
    marks, cells = [], []
    names = {**({"": overall} if overall else {}), **heads}
    for part in ablation.subsets:
        column = sensors(list(part))
        for sensor in ablation.sensors:
            has = sensor in part
            words = WORDS["with_sensor" if has else "without_sensor"].format(sensor=sensor_words(sensor))
            marks.append(_mark(sensor_words(sensor), column, has, words))
        table = averaged(metrics, ablation.runs[part], metric)
        for defect, name in names.items():
            known = table.get(defect, Mean())
            cells.append(_cell(name, column, known) | {"runs": len(ablation.runs[part])})
    return pd.DataFrame([*marks, *cells])


def _mark(row: str, column: str, has: bool, words: str) -> dict[str, object]:
    return {"row": row, "column": column, "part": "mark", "shade": int(has), "words": words}


def _cell(row: str, column: str, known: Mean) -> dict[str, object]:
    value, low, high = known.value, known.low, known.high
    large = DASH if missing(value) else count(100 * value)
    return {
        "row": row,
        "column": column,
        "part": "cell",
        "large": large,
        "small": half_width(known),
        "shade": 0.0 if missing(value) else max(0.0, value),
        "words": WORDS["cell"].format(
            row=row, sensors=column, value=large, ends=f"{per_hundred(low)} to {per_hundred(high)}"
        ),
        "value": value,
        "low": low,
        "high": high,
    }


def half_width(known: Mean) -> str:
    """Half an interval in hundredths, ``"±7"``; empty where there is none, or too few fruit to vary."""
    width = known.high - known.low
    return "" if missing(width) or width == 0 else f"±{count(50 * width)}"


def shapley_rows(
    metrics: pd.DataFrame, run_id: str, sensor: str, defects: tuple[str, ...], overall: str
) -> pd.DataFrame:
    """What a sensor adds to the agreement on each defect, for ``charts.bars.interval_bars``.

    Returns:
        name, value, low, high, text, words, tone.
    """
    table = averaged(metrics, (run_id,), f"shapley:{sensor}")
    names = {**({"": overall} if overall else {}), **{name: defect_words(name) for name in defects}}
    rows = []
    for defect, name in names.items():
        known = table.get(defect, Mean())
        tone = "fewer" if known.value < 0 else "accent" if not defect else "reference"
        rows.append(
            {
                "name": name,
                "value": known.value,
                "low": known.low,
                "high": known.high,
                "text": number(known.value),
                "words": f"{name}: {with_interval(known.value, known.low, known.high)}",
                "tone": tone,
            }
        )
    return pd.DataFrame(rows)


def told_by_pressure(
    metrics: pd.DataFrame, run_id: str, sensors: Subset, defects: tuple[str, ...]
) -> tuple[str, ...]:
    """Defects that the pressure tells and no picture does, after the intervals of their Shapley values.

    Args:
        metrics: see ``ablations.whole_metrics``, with the Shapley value of every sensor.
        run_id: of the run with all sensors.
        sensors: all of them.
        defects: to look at.
    """
    tables = {sensor: averaged(metrics, (run_id,), f"shapley:{sensor}") for sensor in sensors}
    pressure = tables.pop(PRESSURE, {})

    def alone(defect: str) -> bool:
        pictures = [table.get(defect, Mean()) for table in tables.values()]
        needed = pressure.get(defect, Mean()).low > NOTHING
        return needed and all(added.low <= 0 and added.high < NOTHING for added in pictures)

    return tuple(filter(alone, defects))


def cost_rows(ablation: Ablation, costs: pd.DataFrame, draws: int = 2000) -> pd.DataFrame:
    """What errors cost with each combination of sensors, and how much more than with all of them.

    The interval is a bootstrap over groups (pallets), the same draws for every combination, so that
    differences pair.

    Args:
        ablation: the combinations; the run with the lowest seed stands for each.
        costs: see ``ablations.costs_by_group``.
        draws: of the bootstrap.

    Returns:
        part (the sensors), cost, low, high, more, more_low, more_high; money per 1,000 fruit. The last three
        are NaN where the run with all sensors is missing. No row where no fruit was judged.
    """
    columns = ["part", "cost", "low", "high", "more", "more_low", "more_high"]
    if costs.empty:
        return pd.DataFrame(columns=columns)
    wide = costs.pivot_table(index="fruit_group", columns="run_id", values="cost", aggfunc="sum").fillna(0.0)
    random = np.random.default_rng(0)
    weights = random.multinomial(len(wide), np.full(len(wide), 1 / len(wide)), size=draws)
    rows = []
    for part in ablation.subsets:
        run = ablation.runs[part][0]
        if run not in wide.columns:
            continue
        own = wide[run].to_numpy()
        more = own - wide[ablation.full].to_numpy() if ablation.full in wide.columns else own * np.nan
        ends, more_ends = (np.quantile(weights @ values, [0.025, 0.975]) for values in (own, more))
        rows.append((part, own.sum(), *ends, more.sum(), *more_ends))
    return pd.DataFrame(rows, columns=columns)

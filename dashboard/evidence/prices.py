"""What errors cost with and without a sensor."""

from __future__ import annotations

import json

import pandas as pd

from backend.store.queries import ablations as queries
from dashboard import texts
from dashboard.charts.bars import interval_bars
from dashboard.figure import Figure
from dashboard.format import count, missing, money, sensors
from dashboard.frames.costs import prices
from dashboard.frames.inputs import Ablation, cost_rows, sensor_words
from dashboard.scope import Scope

WORDS = texts.INPUTS


def costs(scope: Scope, ablation: Ablation) -> pd.DataFrame:
    """What errors cost with each combination of sensors; see ``frames.inputs.cost_rows``."""
    chosen = {name: pair for name, pair in prices(scope.dataset).items() if name in scope.defects}
    runs = tuple(ablation.runs[part][0] for part in ablation.subsets)
    by_group = scope.store.ask_predictions(queries.costs_by_group, runs, json.dumps(chosen))
    return cost_rows(ablation, by_group)


def cost_figure(ablation: Ablation, table: pd.DataFrame, sentence: str) -> Figure:
    """The cost of errors with each combination, the cheapest first."""
    ranked = table.sort_values("cost", kind="stable")
    frame = pd.DataFrame(
        {
            "name": [sensors(list(part)) for part in ranked["part"]],
            "value": ranked["cost"],
            "low": ranked["low"],
            "high": ranked["high"],
            "text": ranked["cost"].map(money),
            "words": [
                WORDS["cost_words"].format(
                    sensors=sensors(list(part)), cost=money(a), low=money(b), high=money(c)
                )
                for part, a, b, c in zip(
                    ranked["part"], ranked["cost"], ranked["low"], ranked["high"], strict=True
                )
            ],
            "tone": ["accent" if part == ablation.sensors else "reference" for part in ranked["part"]],
        }
    )
    return Figure(
        name="sensors-cost",
        title=WORDS["cost_title"],
        sentence=sentence,
        chart=interval_bars,
        frame=frame,
        options={
            "order": tuple(frame["name"]),
            "axis": WORDS["cost_axis"],
            "domain": (0.0, 1.02 * float(max(table["high"].max(), 1e-9))),
        },
        table=ranked.assign(part=frame["name"]),
    )


def dearer(table: pd.DataFrame, ablation: Ablation, sensor: str) -> tuple[float, float, float] | None:
    """What errors cost more without a sensor, with the ends of its interval; None where nothing is known.

    Args:
        table: see ``costs``.
        ablation: whose sensors.
        sensor: that is dropped.
    """
    rest = tuple(name for name in ablation.sensors if name != sensor)
    row = table[[part == rest for part in table["part"]]]
    if row.empty or missing(float(row["more"].iloc[0])):
        return None
    more, low, high = (float(row[name].iloc[0]) for name in ("more", "more_low", "more_high"))
    return more, low, high


def budget(table: pd.DataFrame, ablation: Ablation, sensor: str, fruit: int, price: float) -> str:
    """What dropping a sensor means in money a year; empty where it cannot be said.

    Args:
        table: see ``costs``.
        ablation: whose sensors.
        sensor: that is dropped.
        fruit: sorted a year.
        price: of the sensor a year.
    """
    found = dearer(table, ablation, sensor)
    if found is None:
        return ""
    more, low, high = found
    year = more * fruit / 1000
    key = "dearer" if more > 0 else "cheaper"
    text = WORDS[key].format(
        sensor=sensor_words(sensor),
        more=money(abs(more)),
        low=money(low),
        high=money(high),
        year=_about(year),
        fruit=count(fruit),
    )
    if low <= 0 <= high:
        return f"{text} {WORDS['may_be_chance']}"
    if price > 0:
        saved = year - price
        end = WORDS["worth" if saved > 0 else "not_worth"].format(saved=_about(saved), price=money(price))
    else:
        end = WORDS["break_even"].format(sensor=sensor_words(sensor), year=_about(year)) if year > 0 else ""
    return f"{text} {end}".strip()


def _about(amount: float) -> str:
    """An amount without its sign at two significant digits: more would be pretence."""
    return money(float(f"{abs(amount):.2g}"))

"""What is lost without a sensor, in sentences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from dashboard import texts
from dashboard.answers import BETTER, UNCLEAR, UNTESTED, WORSE, Answer, certainty, found_of, test_verdict
from dashboard.evidence.prices import dearer
from dashboard.format import (
    interval,
    listing,
    missing,
    money,
    number,
    per_hundred,
    sentence_start,
    signed,
)
from dashboard.frames.agreement import agreements, not_learned
from dashboard.frames.costs import same_prices
from dashboard.frames.inputs import Ablation, sensor_words
from dashboard.frames.tests import deciding
from dashboard.names import defect_words
from dashboard.scope import Scope

WORDS = texts.INPUTS


@dataclass(frozen=True)
class Loss:
    """What is lost without one sensor.

    Attributes:
        sensor: the sensor.
        text: the sentence.
        verdict: ``better`` = clearly better with it, ``worse`` = clearly better without it,
            ``not distinguishable`` or ``not tested``.
        size: share of the defective fruit that is lost, over the chosen defects.
        worst: the defect that loses most clearly, and how much; None where none does.
        most: the most that the interval allows to be lost.
        dearer: what errors cost more without it, per 1,000 fruit, with its interval; None where unknown.
    """

    sensor: str
    text: str
    verdict: str
    size: float
    worst: tuple[str, float, str] | None = None
    most: float | None = None
    dearer: tuple[float, float, float] | None = None

    @property
    def costly(self) -> bool:
        """Whether errors clearly cost more without it, though no defect is clearly found less often."""
        return self.verdict != BETTER and self.dearer is not None and self.dearer[1] > 0

    @property
    def cost(self) -> float:
        """What errors cost more without it; 0 where unknown."""
        return self.dearer[0] if self.dearer else 0.0


TOLERABLE = 0.1
"""Where so large a share more could be missed without a sensor, nobody can say that it could be dropped."""


def losses(scope: Scope, ablation: Ablation, costs: pd.DataFrame | None = None) -> list[Loss]:
    """What is lost without each sensor, the greatest loss first.

    Args:
        scope: what is looked at.
        ablation: whose sensors.
        costs: see ``prices.costs``; only asked where somebody has set prices.
    """
    tested = [_loss(scope, ablation, sensor) for sensor in ablation.sensors]
    if costs is not None and not same_prices(scope.dataset):
        tested = [replace(one, dearer=dearer(costs, ablation, one.sensor)) for one in tested]
    return sorted(tested, key=lambda loss: (loss.verdict != BETTER, not loss.costly, -loss.cost, -loss.size))


def _loss(scope: Scope, ablation: Ablation, sensor: str) -> Loss:
    name = sensor_words(sensor)
    without = ablation.without(sensor)
    every = deciding(scope.store.comparisons(without or "", ablation.full or ""))
    tests = borne_out(every[every["delta"].notna()])
    by_defect = tests[tests["defect"].isin(scope.defects)]
    overall = by_defect if scope.one_defect else tests[tests["defect"].isna()]
    if overall.empty:
        return Loss(sensor, WORDS["no_test"].format(sensor=name), UNTESTED, 0.0)
    row = _rows(overall)[0]
    clear = [
        (str(test["defect"]), float(test["delta"]), certainty(test))
        for test in _rows(by_defect)
        if test["metric"] == "recall" and test_verdict(test) == BETTER
    ]
    worst = max(clear, key=lambda one: one[1]) if clear else None
    verdict = test_verdict(row)
    found = row["metric"] == "recall"
    what = found_of(scope.one_defect, multiclass=scope.multiclass)
    text = _sentence(name, row, verdict, what) if found else _agreement(scope, name, row)
    if worst and scope.one_defect is None:
        verdict = BETTER
        text = f"{_hit(scope, name, worst)} {WORDS['overall'].format(sentence=text[:1].lower() + text[1:])}"
    most = None if not found or missing(row["ci_high"]) else float(row["ci_high"])
    return Loss(sensor, text, verdict, float(row["delta"]), worst, most)


def borne_out(tests: pd.DataFrame) -> pd.DataFrame:
    """Tests of what is found; where agreement does not bear a clear one out, that of agreement in its place.

    A model that calls every fruit defective finds them all: only agreement knows its false alarms.

    Args:
        tests: see ``frames.tests.deciding``.
    """
    found, agreement = (tests[tests["metric"] == metric] for metric in ("recall", "mcc"))
    of = {str(row["defect"]): row for row in _rows(agreement)}
    kept = []
    for row in _rows(found):
        other = of.get(str(row["defect"]), row)
        doubted = test_verdict(row) not in (UNCLEAR, UNTESTED, test_verdict(other))
        kept.append(other if doubted else row)
    return pd.DataFrame(kept, columns=tests.columns)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def guessed(scope: Scope, ablation: Ablation) -> str:
    """Which defects were not learned even with every sensor, in a sentence; empty where all were."""
    if ablation.full is None:
        return ""
    counts = scope.store.defect_confusion(ablation.full)
    agreed = agreements(counts, scope.store.pooled_metrics((ablation.full,), ("mcc",)))
    return not_learned(agreed, scope.defects, "not_learned_full")


def _hit(scope: Scope, sensor: str, worst: tuple[str, float, str]) -> str:
    """The defect that loses most."""
    defect, size, ends = worst
    what = found_of(defect, multiclass=scope.multiclass)
    return WORDS["fewer"].format(sensor=sensor, n=per_hundred(size), what=what, brackets=ends)


def _sentence(sensor: str, row: dict[Any, Any], verdict: str, what: str) -> str:
    lost = float(row["delta"])
    key = "unclear" if verdict == UNCLEAR else "fewer" if lost >= 0 else "more"
    return WORDS[key].format(
        sensor=sensor,
        n=per_hundred(abs(lost)),
        direction=texts.DIRECTIONS[1 if lost >= 0 else 0],
        what=what,
        brackets=certainty(row) if lost >= 0 or verdict == UNCLEAR else _mirrored(row),
    )


def _agreement(scope: Scope, sensor: str, row: dict[str, Any]) -> str:
    """What is lost in agreement, where the share found would mislead."""
    key = {BETTER: "agreement_falls", WORSE: "agreement_rises"}.get(test_verdict(row), "agreement_unclear")
    low, high = row["ci_low"], row["ci_high"]
    one = scope.one_defect
    return WORDS[key].format(
        sensor=sensor,
        on="" if one is None else texts.SENTENCES["on"].format(defect=defect_words(one)),
        n=signed(-row["delta"]) if key == "agreement_unclear" else number(abs(row["delta"])),
        brackets="" if missing(low) or missing(high) else f" ({interval(*_change(key, low, high))})",
    )


def _change(key: str, low: float, high: float) -> tuple[float, float]:
    """The ends of the change: of a fall as they are, else of what is gained."""
    return (low, high) if key == "agreement_falls" else (-high, -low)


def _mirrored(row: dict[Any, Any]) -> str:
    """The interval of what is gained without the sensor."""
    ends = {"ci_low": row["ci_high"], "ci_high": row["ci_low"], "n": row["n"]}
    flipped = {key: value if key == "n" or missing(value) else -float(value) for key, value in ends.items()}
    return certainty(flipped)


def said(scope: Scope, lost: list[Loss]) -> Answer:
    """Can a sensor be dropped?"""
    tested = [loss for loss in lost if loss.verdict != UNTESTED]
    if not tested:
        return Answer(WORDS["untested"], verdict=UNTESTED)
    free = [loss for loss in tested if loss.verdict != BETTER and not loss.costly]
    needed = [loss for loss in tested if loss.verdict == BETTER or loss.costly]
    detail = WORDS["keep"].format(sensors=_names(needed)) if needed and free else ""
    if len(free) > 1:
        detail = WORDS["one_at_a_time"].format(sensors=_names(free))
    if free:
        least = min(free, key=lambda loss: (loss.cost, loss.size))
        name = sentence_start(sensor_words(least.sensor))
        key = "drop_gain" if least.verdict == WORSE else "drop"
        if key == "drop" and (least.most or 0) > TOLERABLE:
            key = "drop_unclear"
        allowed = "" if (least.most or 0) <= 0 else WORDS["allowed"].format(n=per_hundred(least.most))
        text = WORDS[key].format(
            Sensor=name,
            sensor=sensor_words(least.sensor),
            what=found_of(scope.one_defect, multiclass=scope.multiclass),
            n=per_hundred(least.most),
            allowed=allowed,
        )
        detail = " ".join(part for part in (cost_words(least), detail) if part)
        return Answer(text, detail, "" if key == "drop_gain" else UNCLEAR)
    first = needed[0]
    if first.costly:
        text = cost_words(first)
    elif first.worst and scope.one_defect is None:
        text = _hit(scope, sensor_words(first.sensor), first.worst)
    else:
        text = first.text
    return Answer(text, WORDS["all_needed"].format(sensors=_names(needed)))


def cost_words(loss: Loss) -> str:
    """What errors cost more or less without a sensor; empty where nothing is known."""
    if loss.dearer is None:
        return ""
    more, low, high = loss.dearer
    key = "costs_more" if low > 0 else "costs_less" if high < 0 else "costs_alike"
    return WORDS[key].format(
        sensor=sensor_words(loss.sensor), n=money(abs(more)), low=money(low), high=money(high)
    )


def _names(lost: list[Loss]) -> str:
    return listing([sensor_words(loss.sensor) for loss in lost])

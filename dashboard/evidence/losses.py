"""What is lost without a sensor, in sentences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from dashboard import texts
from dashboard.answers import (
    BETTER,
    UNCLEAR,
    UNTESTED,
    WORSE,
    Answer,
    borne_out,
    certainty,
    change_words,
    found_of,
    test_verdict,
)
from dashboard.evidence.prices import dearer
from dashboard.figure import records
from dashboard.format import (
    listing,
    missing,
    money,
    per_hundred,
    sentence_start,
)
from dashboard.frames.agreement import agreements, not_learned
from dashboard.frames.costs import same_prices
from dashboard.frames.inputs import Ablation, sensor_words
from dashboard.frames.tests import deciding
from dashboard.rows import of_defect
from dashboard.scope import Scope

WORDS = texts.INPUTS


@dataclass(frozen=True)
class Loss:
    """What is lost without one sensor.

    Attributes:
        sensor: the sensor.
        text: the sentence.
        verdict: ``better`` = clearly better with it, ``worse`` = clearly better without it,
            ``not distinguishable`` or ``not tested``; of what is found, or of agreement where that decides.
        size: share of the defective fruit that is lost, over the chosen defects; of agreement likewise.
        worst: the defect that loses most clearly, and how much; None where none does.
        most: the most that the interval allows to be lost of what is found; None where agreement decides.
        dearer: what errors cost more without it, per 1,000 fruit, with its interval; None where unknown.
        fewer: what is clearly found less without it although agreement does not fall: (size, interval).
    """

    sensor: str
    text: str
    verdict: str
    size: float
    worst: tuple[str, float, str] | None = None
    most: float | None = None
    dearer: tuple[float, float, float] | None = None
    fewer: tuple[float, str] | None = None

    @property
    def costly(self) -> bool:
        """Whether errors clearly cost more without it, though no defect is clearly found less often."""
        return self.verdict != BETTER and self.dearer is not None and self.dearer[1] > 0

    @property
    def cost(self) -> float:
        """What errors cost more without it; 0 where unknown."""
        return self.dearer[0] if self.dearer else 0.0

    @property
    def advice(self) -> str:
        """Which sentence says whether it could be dropped: a name from ``ADVICE``; empty = it is needed."""
        if self.verdict == BETTER or self.costly:
            return ""
        if self.fewer:
            return "drop_trade"
        if self.verdict == WORSE:
            return "drop_gain" if self.most is not None else "drop_agreement_gain"
        if self.most is None:
            return "drop_agreement"
        return "drop_unclear" if self.most > TOLERABLE else "drop"


TOLERABLE = 0.1
"""Where so large a share more could be missed without a sensor, nobody can say that it could be dropped."""


ADVICE = ("drop_gain", "drop_agreement_gain", "drop", "drop_agreement", "drop_unclear", "drop_trade")
"""From what speaks most for doing without a sensor to what speaks least for it."""


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
    every = every[every["delta"].notna()]
    tests = borne_out(every)
    by_defect = tests[tests["defect"].isin(scope.defects)]
    overall = by_defect if scope.one_defect else tests[tests["defect"].isna()]
    if overall.empty:
        return Loss(sensor, WORDS["no_test"].format(sensor=name), UNTESTED, 0.0)
    row = records(overall)[0]
    clear = [
        (str(test["defect"]), float(test["delta"]), certainty(test))
        for test in records(by_defect)
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
    ceiling = 1.0 if missing(row["ci_high"]) else float(row["ci_high"])
    lost = None if found else _clearly_fewer(of_defect(every, scope.one_defect))
    return Loss(
        sensor, text, verdict, float(row["delta"]), worst, most=ceiling if found else None, fewer=lost
    )


def _clearly_fewer(tests: pd.DataFrame) -> tuple[float, str] | None:
    """How many fewer are found, where that is clear; None where it is not."""
    row = next((row for row in records(tests) if row["metric"] == "recall"), None)
    return (float(row["delta"]), certainty(row)) if row and test_verdict(row) == BETTER else None


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
    return WORDS[key].format(sensor=sensor, **change_words(row, scope.one_defect, mirrored=True))


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
    free = [loss for loss in tested if loss.advice]
    needed = [loss for loss in tested if not loss.advice]
    if free:
        return _droppable(scope, free, needed)
    first = needed[0]
    if first.costly:
        text = cost_words(first)
    elif first.worst and scope.one_defect is None:
        text = _hit(scope, sensor_words(first.sensor), first.worst)
    else:
        text = first.text
    return Answer(text, WORDS["all_needed"].format(sensors=_names(needed)))


def _droppable(scope: Scope, free: list[Loss], needed: list[Loss]) -> Answer:
    """The sensor that could best be done without, and for which others just that holds."""
    least = min(free, key=lambda loss: (ADVICE.index(loss.advice), loss.cost, loss.size))
    same = [loss for loss in free if loss.advice == least.advice]
    most = max(loss.most or 0.0 for loss in same)
    size, brackets = least.fewer or (most, "")
    text = WORDS[least.advice].format(
        Sensor=sentence_start(sensor_words(least.sensor)),
        sensor=sensor_words(least.sensor),
        what=found_of(scope.one_defect, multiclass=scope.multiclass),
        n=per_hundred(size),
        brackets=brackets,
        allowed=WORDS["allowed"].format(n=per_hundred(most)) if most > 0 else "",
    )
    others = least.advice != "drop_trade" and len(same) > 1
    details = [
        cost_words(least),
        WORDS["one_at_a_time"].format(sensors=_names(same)) if others else "",
        WORDS["keep"].format(sensors=_names(needed)) if needed else "",
    ]
    clear = least.advice in ("drop_gain", "drop_agreement_gain")
    return Answer(text, " ".join(part for part in details if part), "" if clear else UNCLEAR)


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

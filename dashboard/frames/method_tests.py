"""Which methods tests set apart from the baseline, and what is left of that after so many tests. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dashboard import texts
from dashboard.answers import BETTER, WORSE, test_verdict
from dashboard.figure import records
from dashboard.format import count, interval, listing, missing, number
from dashboard.frames.tests import ALPHA, holm
from dashboard.names import method_words

WORDS = texts.PROTOCOLS
MARKS = {BETTER: "\N{BLACK UP-POINTING TRIANGLE}", WORSE: "\N{BLACK DOWN-POINTING TRIANGLE}"}
"""What stands behind the number of a method that a test sets apart from the baseline."""


@dataclass(frozen=True)
class Tested:
    """A fine-tuned method's test against the baseline on the same labels.

    Attributes:
        method: the method.
        fraction: share of the labels.
        delta: its agreement minus the baseline's.
        low: lower end of the interval; None where too few fruit or pallets tell.
        high: upper end.
        verdict: of this test by itself.
        stands: whether it differs even after Holm's correction for every method tested on that share.
    """

    method: str
    fraction: float
    delta: float
    low: float | None
    high: float | None
    verdict: str
    stands: bool

    @property
    def differs(self) -> bool:
        """Whether the test by itself sets the method apart."""
        return self.verdict in MARKS


def against_baseline(tests: pd.DataFrame, runs: pd.DataFrame, defect: str | None) -> tuple[Tested, ...]:
    """What was tested against the baseline, one test for each method and share of the labels.

    Args:
        tests: those that decide, see ``tests.deciding``.
        runs: see ``ablations.finished``; tests between others do not count.
        defect: one defect; None = over all.
    """
    return against_baseline_of(tests, runs, (defect,))[0]


def against_baseline_of(
    tests: pd.DataFrame, runs: pd.DataFrame, defects: Sequence[str | None]
) -> list[tuple[Tested, ...]]:
    """See ``against_baseline``, for several defects at once."""
    known = {row["run_id"]: row for row in records(runs[["run_id", "kind", "method", "label_fraction"]])}
    found: dict[str | None, dict[float, dict[str, dict[str, Any]]]] = {}
    for row in records(tests[(tests["metric"] == "mcc") & tests["delta"].notna()]):
        a, b = known.get(row["run_id_a"]), known.get(row["run_id_b"])
        if a and b and (a["kind"], b["kind"]) == ("baseline", "finetune"):
            defect = None if missing(row["defect"]) else row["defect"]
            families = found.setdefault(defect, {})
            families.setdefault(float(b["label_fraction"]), {}).setdefault(str(b["method"]), row)
    return [
        tuple(one for fraction, rows in found.get(defect, {}).items() for one in _family(fraction, rows))
        for defect in defects
    ]


def _family(fraction: float, rows: dict[str, dict[str, Any]]) -> list[Tested]:
    """Every method on one share of the labels; a test without a p-value outlasts nothing."""
    corrected = holm([1.0 if missing(row["p_adjusted"]) else row["p_adjusted"] for row in rows.values()])
    return [
        Tested(
            method,
            fraction,
            delta=float(row["delta"]),
            low=row["ci_low"],
            high=row["ci_high"],
            verdict=(verdict := test_verdict(row)),
            stands=verdict in MARKS and bool(p <= ALPHA),
        )
        for (method, row), p in zip(rows.items(), corrected, strict=True)
    ]


def gap_words(one: Tested) -> str:
    """How far a method lies from the baseline that a test sets apart from it."""
    key = "better_than" if one.verdict == BETTER else "worse_than"
    return WORDS[key].format(size=number(abs(one.delta)), ends=interval(one.low, one.high))


def marks_words(tests: tuple[Tested, ...], fraction: float) -> str:
    """What the marks at a share of the labels mean; empty where nothing was tested there."""
    here = [one for one in tests if one.fraction == fraction]
    apart = [one for one in here if one.differs]
    if len(here) < 2:
        return WORDS["marks"] if apart else ""
    methods = WORDS["methods"].format(n=count(len(here)))
    if not apart:
        return WORDS["tested_none"].format(methods=methods)
    left = [method_words(one.method) for one in apart if one.stands]
    corrected = "left" if left else "left_none"
    names = listing(left, texts.SENTENCES["and"])
    return " ".join(
        (WORDS["marks"], WORDS["tested_some"].format(methods=methods), WORDS[corrected].format(names=names))
    )


def other_words(tests: tuple[Tested, ...], fraction: float, focus: str | None) -> str:
    """Which method that is not argued for a test finds better, and what that is worth after so many tests."""
    here = [one for one in tests if one.fraction == fraction]
    better = [one for one in here if one.verdict == BETTER and one.method != focus]
    if not better:
        return ""
    best = max(better, key=lambda one: (one.stands, one.delta))
    return WORDS["other_stands" if best.stands else "other_luck"].format(
        method=method_words(best.method),
        size=number(best.delta),
        ends=interval(best.low, best.high),
        methods=WORDS["methods"].format(n=count(len(here))),
    )

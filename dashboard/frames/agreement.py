"""How far decisions agree with the labels, and which defects a model has not learned. Pure.

Whoever calls every fruit defective finds them all. Agreement (Matthews' correlation) knows the false alarms
too, so it stands before the share that is found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from dashboard import texts
from dashboard.answers import Answer
from dashboard.format import listing, missing, sentence_start, with_interval
from dashboard.names import defect_words

WORDS = texts.AGREEMENT
MOST_NAMED = 3
"""More defects than these are counted in a headline, not named."""


@dataclass(frozen=True)
class Agreement:
    """Agreement on one defect, or over all.

    Attributes:
        value: Matthews' correlation, -1 to 1; 0 = guessing.
        low: lower end of its 95 % interval; None where there is none.
        high: upper end.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def learned(self) -> bool:
        """Whether it is more than guessing may give; unknown counts as learned."""
        return missing(self.low) or float(self.low or 0) > 0

    @property
    def words(self) -> str:
        """The number and its interval, "0.45 (0.38 to 0.52)"."""
        return with_interval(self.value, self.low, self.high)

    @property
    def note(self) -> str:
        """What stands under a picture of the decisions."""
        return WORDS["note" if self.learned else "note_not_learned"].format(value=self.words)


def agreements(counts: pd.DataFrame, metrics: pd.DataFrame | None = None) -> dict[str | None, Agreement]:
    """Agreement on each defect; with metrics also over all, under None, where all are asked about.

    Args:
        counts: defect, tp, fp, fn, tn; defects without a single such fruit are left out.
        metrics: see ``results.pooled_metrics``, of one run and these very decisions; None = others, whose
            agreement is counted here and has no interval.
    """
    found: dict[str | None, Agreement] = {}
    for row in counts.to_dict("records"):
        tp, fp, fn, tn = (int(row[name]) for name in ("tp", "fp", "fn", "tn"))
        if tp + fn:
            found[str(row["defect"])] = Agreement(matthews(tp, fp, fn, tn))
    if metrics is not None:
        known = metrics[(metrics["metric"] == "mcc") & metrics["value"].notna()]
        whole = set(known["defect"].dropna()) <= set(found)  # what is over all says nothing of some
        for row in known.to_dict("records"):
            defect = None if missing(row["defect"]) else str(row["defect"])
            if defect in found or (defect is None and whole):
                found[defect] = Agreement(float(row["value"]), row["ci_low"], row["ci_high"])
    return found


def matthews(tp: int, fp: int, fn: int, tn: int) -> float:
    """Matthews' correlation of decisions and labels; 0 where one of the two never varies."""
    scale = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return (tp * tn - fp * fn) / scale if scale else 0.0


def not_learned(
    agreed: dict[str | None, Agreement], defects: Iterable[str], words: str = "not_learned"
) -> str:
    """Which of the defects a model has not learned, in a sentence; empty where it has learned all.

    Args:
        agreed: see ``agreements``.
        defects: those that are asked about.
        words: of the sentence.
    """
    names = [
        WORDS["one"].format(defect=defect_words(name), value=agreed[name].words)
        for name in defects
        if name in agreed and not agreed[name].learned
    ]
    return WORDS[words].format(defects=listing(names)) if names else ""


def with_agreement(
    said: Answer, who: str, agreed: dict[str | None, Agreement], defects: tuple[str, ...]
) -> Answer:
    """An answer about decisions with their agreement before everything else.

    Args:
        said: what is found.
        who: the subject: "the baseline".
        agreed: see ``agreements``.
        defects: those that are asked about.
    """
    one = agreed.get(defects[0] if len(defects) == 1 else None)
    if one is not None and len(defects) == 1 and not one.learned:
        text = WORDS["guessed"].format(
            Who=sentence_start(who), defect=defect_words(defects[0]), value=one.words
        )
        return Answer(text, f"{said.text} {said.detail}".strip())
    level = "" if one is None else WORDS["level"].format(value=one.words)
    missed = [name for name in defects if name in agreed and not agreed[name].learned]
    if not missed:
        return Answer(said.text, f"{level} {said.detail}".strip())
    few = len(missed) <= MOST_NAMED
    text = WORDS["guessed_some" if few else "guessed_many"].format(
        Who=sentence_start(who),
        defects=listing([defect_words(name) for name in missed]),
        n=len(missed),
        total=len(defects),
    )
    parts = (not_learned(agreed, defects), level, said.text, said.detail)
    return Answer(text, " ".join(part for part in parts if part))

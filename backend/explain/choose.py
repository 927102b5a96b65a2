"""Which fruit to explain: the surest of each outcome, and those on which two models disagree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.store.bundle import Predictions

OUTCOMES = {"tp": (1, 1), "fp": (0, 1), "fn": (1, 0), "tn": (0, 0)}
"""Outcome to (truth, decision)."""
FIXED, BROKEN = "fixed", "broken"


@dataclass(frozen=True)
class Choice:
    """One fruit and the defect for which it is explained.

    Attributes:
        fruit_id: the fruit.
        defect: the defect, or the class in a multiclass data set.
        outcome: ``tp``, ``fp``, ``fn`` or ``tn``; empty where the truth is unknown.
        score: the model's probability.
        change: ``fixed`` or ``broken`` by the second model of a pair, else empty.
    """

    fruit_id: str
    defect: str
    outcome: str
    score: float
    change: str = ""


def surest(predictions: Predictions, per_outcome: int) -> list[Choice]:
    """For each defect the most confident true and false positives and negatives.

    Args:
        predictions: pooled over the folds.
        per_outcome: most fruit for each defect and outcome.
    """
    chosen = []
    for column in range(len(predictions.defects)):
        for outcome, (truth, decision) in OUTCOMES.items():
            rows = np.flatnonzero(_where(predictions, column, truth, decision))
            confidence = predictions.score[rows, column] * (1 if decision else -1)
            best = rows[np.argsort(-confidence, kind="stable")[:per_outcome]]
            chosen += [_choice(predictions, int(row), column, outcome) for row in best]
    return chosen


def found(predictions: Predictions) -> list[Choice]:
    """Every fruit that the model says has a defect, whatever its label: what maps are judged on."""
    rows, columns = np.nonzero(predictions.y_pred == 1)
    return [
        _choice(predictions, int(row), int(column), outcome_of(predictions, int(row), int(column)))
        for row, column in zip(rows, columns, strict=True)
    ]


def changed(before: Predictions, after: Predictions, most: int) -> tuple[list[Choice], list[Choice]]:
    """The fruit that a second model puts right and those it spoils, the largest change of score first.

    Args:
        before: of the first model.
        after: of the second, for the same fruit and defects in any order of the fruit.
        most: fruit for each defect and direction.

    Returns:
        The choices as the first model sees them, and the same ones as the second does.
    """
    place = {name: row for row, name in enumerate(before.fruit_ids)}
    rows_after = np.array([row for row, name in enumerate(after.fruit_ids) if name in place], dtype=np.intp)
    rows_before = np.array([place[after.fruit_ids[row]] for row in rows_after], dtype=np.intp)
    first: list[Choice] = []
    second: list[Choice] = []
    for column in range(len(after.defects)):
        truth = after.y_true[rows_after, column]
        was = before.y_pred[rows_before, column] == truth
        is_now = after.y_pred[rows_after, column] == truth
        gap = np.abs(after.score[rows_after, column] - before.score[rows_before, column])
        for change, which in ((FIXED, ~was & is_now), (BROKEN, was & ~is_now)):
            some = np.flatnonzero(which & ~np.isnan(truth))
            for k in some[np.argsort(-gap[some], kind="stable")[:most]]:
                for into, source, row in ((first, before, rows_before[k]), (second, after, rows_after[k])):
                    outcome = outcome_of(source, int(row), column)
                    into.append(_choice(source, int(row), column, outcome, change))
    return first, second


def outcome_of(predictions: Predictions, row: int, column: int) -> str:
    """``tp``, ``fp``, ``fn`` or ``tn``; empty where the fruit is unlabelled."""
    pair = (predictions.y_true[row, column], predictions.y_pred[row, column])
    return next((name for name, kind in OUTCOMES.items() if kind == pair), "")


def unique(*parts: list[Choice]) -> list[Choice]:
    """All choices, each fruit and defect once; what is known of a change is kept."""
    merged: dict[tuple[str, str], Choice] = {}
    for choice in (choice for part in parts for choice in part):
        key = (choice.fruit_id, choice.defect)
        if key not in merged or choice.change:
            merged[key] = choice
    return list(merged.values())


def _where(predictions: Predictions, column: int, truth: int, decision: int) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (predictions.y_true[:, column] == truth) & (
        predictions.y_pred[:, column] == decision
    )
    return same


def _choice(predictions: Predictions, row: int, column: int, outcome: str, change: str = "") -> Choice:
    score = float(predictions.score[row, column])
    return Choice(predictions.fruit_ids[row], predictions.defects[column], outcome, score, change)

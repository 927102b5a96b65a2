"""Decisions recomputed from scores: confusion counts, curves and costs at any threshold. Pure numpy."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

OUTCOMES = ("tp", "fn", "fp", "tn")
PER = 1000.0
"""Costs are for so many fruit."""


@dataclass(frozen=True)
class ScoreTable:
    """The held-out predictions of one run.

    Attributes:
        fruit_ids: n names.
        fold: (n,) outer fold that held the fruit out.
        defects: D names.
        truth: (n, D) 1, 0 or NaN where unlabelled.
        score: (n, D) 0 to 1; NaN where the run did not score the defect.
        decided: (n, D) the run's own decision, 1 or 0.
    """

    fruit_ids: tuple[str, ...]
    fold: NDArray[np.int64]
    defects: tuple[str, ...]
    truth: NDArray[np.float64]
    score: NDArray[np.float64]
    decided: NDArray[np.float64]

    @classmethod
    def from_rows(cls, rows: pd.DataFrame, order: tuple[str, ...]) -> ScoreTable:
        """Build from the rows of table ``prediction``.

        Args:
            rows: fold, fruit_id, defect, y_true, score, y_pred; one row a fruit, fold and defect.
            order: the defects, in the order of the columns; others are left out.
        """
        rows = rows[rows["defect"].isin(order)]
        keys = rows["fold"].astype(str) + "\x1f" + rows["fruit_id"].astype(str)
        row, names = pd.factorize(keys)
        column = pd.Index(order).get_indexer(pd.Index(rows["defect"]))
        shape = (len(names), len(order))
        arrays = {}
        for name in ("y_true", "score", "y_pred"):
            arrays[name] = np.full(shape, np.nan)
            arrays[name][row, column] = pd.to_numeric(rows[name]).to_numpy(float)
        folds, fruit_ids = (
            zip(*(str(name).split("\x1f", 1) for name in names), strict=True) if len(names) else ((), ())
        )
        return cls(
            fruit_ids=tuple(fruit_ids),
            fold=np.array([int(fold) for fold in folds], dtype=np.int64),
            defects=tuple(order),
            truth=arrays["y_true"],
            score=arrays["score"],
            decided=arrays["y_pred"],
        )

    def said(self, threshold: float | None) -> NDArray[np.float64]:
        """(n, D) decisions: the run's own, or ``score >= threshold``; NaN where there is no score."""
        if threshold is None:
            return self.decided
        return np.where(np.isnan(self.score), np.nan, self.score >= threshold)

    def only(self, names: Collection[str]) -> ScoreTable:
        """The predictions on the named fruit."""
        rows = np.array([name in names for name in self.fruit_ids], dtype=bool)
        kept = tuple(name for name in self.fruit_ids if name in names)
        arrays = {part: getattr(self, part)[rows] for part in ("fold", "truth", "score", "decided")}
        return replace(self, fruit_ids=kept, **arrays)

    def rows_of(self, fold: int | None) -> NDArray[np.bool_]:
        """(n,) which fruit belong to a fold; None = all of them."""
        return np.ones(len(self.fold), dtype=bool) if fold is None else self.fold == fold


def confusion(table: ScoreTable, threshold: float | None = None, fold: int | None = None) -> pd.DataFrame:
    """Right and wrong decisions for each defect.

    Args:
        table: the predictions.
        threshold: a fruit is called at or above it; None = as the run decided.
        fold: one fold only; None = all.

    Returns:
        defect, tp, fp, fn, tn.
    """
    rows = table.rows_of(fold)
    truth, said = table.truth[rows], table.said(threshold)[rows]
    yes, no, call, pass_ = truth == 1, truth == 0, said == 1, said == 0
    return pd.DataFrame(
        {
            "defect": list(table.defects),
            "tp": (yes & call).sum(axis=0),
            "fp": (no & call).sum(axis=0),
            "fn": (yes & pass_).sum(axis=0),
            "tn": (no & pass_).sum(axis=0),
        }
    )


def members(
    table: ScoreTable, defect: str, outcome: str, threshold: float | None = None, fold: int | None = None
) -> list[int]:
    """Rows of the fruit in one cell, the most confident decisions first.

    Args:
        table: the predictions.
        defect: the cell's defect.
        outcome: ``tp``, ``fn``, ``fp`` or ``tn``.
        threshold: see ``confusion``.
        fold: see ``confusion``.
    """
    column = table.defects.index(defect)
    truth, said, score = table.truth[:, column], table.said(threshold)[:, column], table.score[:, column]
    called = outcome in ("tp", "fp")
    cell = (truth == (outcome in ("tp", "fn"))) & (said == called) & table.rows_of(fold)
    found = np.flatnonzero(cell)
    order = np.argsort(-score[found] if called else score[found], kind="stable")
    return [int(row) for row in found[order]]


def class_members(table: ScoreTable, truth: str, said: str, fold: int | None = None) -> list[int]:
    """Rows of the fruit of class ``truth`` that were given class ``said``, the most confident first."""
    is_true = table.truth[:, table.defects.index(truth)] == 1
    column = table.defects.index(said)
    found = np.flatnonzero(is_true & (table.decided[:, column] == 1) & table.rows_of(fold))
    return [int(row) for row in found[np.argsort(-table.score[found, column], kind="stable")]]


def class_confusion(table: ScoreTable, fold: int | None = None) -> pd.DataFrame:
    """How often each true class was given each class.

    Returns:
        true_class, predicted_class, n.
    """
    truth, said = table.truth == 1, table.decided == 1
    rows = table.rows_of(fold) & truth.any(axis=1) & said.any(axis=1)
    pairs = pd.DataFrame(
        {
            "true_class": np.array(table.defects, dtype=object)[truth[rows].argmax(axis=1)],
            "predicted_class": np.array(table.defects, dtype=object)[said[rows].argmax(axis=1)],
        }
    )
    return pairs.value_counts().rename("n").reset_index()


def _ranked(
    table: ScoreTable, defect: str, fold: int | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores and truths of the labelled fruit, from the highest score down."""
    column = table.defects.index(defect)
    known = ~np.isnan(table.truth[:, column]) & ~np.isnan(table.score[:, column]) & table.rows_of(fold)
    score, truth = table.score[known, column], table.truth[known, column] == 1
    order = np.argsort(-score, kind="stable")
    return score[order], truth[order]


def precision_recall(
    table: ScoreTable, defect: str, fold: int | None = None, most: int = 200
) -> pd.DataFrame:
    """Precision and recall at every threshold, thinned to ``most`` points.

    Returns:
        threshold, recall, precision; empty where no labelled fruit has the defect.
    """
    score, truth = _ranked(table, defect, fold)
    if not truth.any():
        return pd.DataFrame({"threshold": [], "recall": [], "precision": []}, dtype=float)
    last = np.append(np.diff(score) != 0, True)  # equal scores are decided together
    found = np.cumsum(truth)[last]
    called = np.arange(1, len(score) + 1)[last]
    points = pd.DataFrame(
        {"threshold": score[last], "recall": found / truth.sum(), "precision": found / called}
    )
    if len(points) <= most:
        return points
    return points.iloc[np.unique(np.linspace(0, len(points) - 1, most).round().astype(int))]


def calibration(table: ScoreTable, defect: str, fold: int | None = None, bins: int = 10) -> pd.DataFrame:
    """How often fruit have the defect, by score, in bins of equal numbers of fruit.

    Returns:
        score (mean of the bin), rate (share with the defect), n.
    """
    score, truth = _ranked(table, defect, fold)
    parts = [part for part in np.array_split(np.arange(len(score)), min(bins, len(score) or 1)) if len(part)]
    return pd.DataFrame(
        {
            "score": [float(score[part].mean()) for part in parts],
            "rate": [float(truth[part].mean()) for part in parts],
            "n": [len(part) for part in parts],
        }
    )


def cost_by_threshold(
    table: ScoreTable, defect: str, *, miss: float, false_alarm: float, fold: int | None = None
) -> pd.DataFrame:
    """What errors cost for 1,000 fruit at thresholds 0, 0.01, … 1.

    Returns:
        threshold, cost; empty without a labelled fruit.
    """
    score, truth = _ranked(table, defect, fold)
    thresholds = np.arange(101) / 100
    if not len(score):
        return pd.DataFrame({"threshold": [], "cost": []}, dtype=float)
    rising = score[::-1]
    passed = np.searchsorted(rising, thresholds, side="left")  # scores below the threshold
    missed = np.concatenate([[0], np.cumsum(truth[::-1])])[passed]
    alarms = (~truth).sum() - (passed - missed)
    return pd.DataFrame(
        {"threshold": thresholds, "cost": PER * (missed * miss + alarms * false_alarm) / len(score)}
    )

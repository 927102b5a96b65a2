"""Fruit by their ids as rows that a gallery can show, whether a run judged them or not. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dashboard.scores import ScoreTable

DEFECT = "defect:"


def score_table(
    fruit_ids: Sequence[str], facts: pd.DataFrame, order: tuple[str, ...], judged: ScoreTable | None = None
) -> ScoreTable:
    """The named fruit, in that order: their labels, and what a run said of those that it judged.

    Rows are found by fruit id and never by position. A fruit that was judged in several folds is shown with
    the first of them.

    Args:
        fruit_ids: the fruit.
        facts: see ``loaders_findings.fruit_table``.
        order: the defects, in the order of the columns.
        judged: predictions of a run, with the same columns; None = no run.
    """
    columns = [f"{DEFECT}{name}" for name in order]
    truth = facts.reindex(index=list(fruit_ids), columns=columns).to_numpy(float)
    shape = (len(fruit_ids), len(order))
    score, decided = np.full(shape, np.nan), np.full(shape, np.nan)
    fold = np.full(len(fruit_ids), -1, dtype=np.int64)
    if judged is not None:
        first: dict[str, int] = {}
        for row, name in enumerate(judged.fruit_ids):
            first.setdefault(name, row)
        for place, name in enumerate(fruit_ids):
            row = first.get(name, -1)
            if row >= 0:
                score[place], decided[place] = judged.score[row], judged.decided[row]
                fold[place] = judged.fold[row]
    return ScoreTable(tuple(fruit_ids), fold, order, truth, score, decided)

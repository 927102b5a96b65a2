"""Which of several stored tests decides, and a test of decisions that no stored one covers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboard.answers import BETTER, UNCLEAR, WORSE

SIDE_TESTS = ("corrected-t", "mcnemar")
"""Tests that are stored beside the one whose interval and verdict people are told."""
ALPHA = 0.05
LARGEST = {"recall": 1.0, "mcc": 2.0}
"""How far two values of a metric can lie from each other."""


def deciding(tests: pd.DataFrame) -> pd.DataFrame:
    """One row for each pair of runs, metric and defect: that of the test whose interval is shown.

    Args:
        tests: see ``results.comparisons`` or ``ablations.tests_of``.
    """
    kept = tests[~tests["test"].isin(SIDE_TESTS)]
    keys = [name for name in ("run_id_a", "run_id_b", "metric", "defect") if name in kept.columns]
    kept = kept.drop_duplicates(keys)
    # Few pallets make an interval wider than any difference can be: nobody misses 213 more of 100 fruit.
    most = kept["metric"].map(LARGEST).fillna(np.inf)
    ends = {end: pd.to_numeric(kept[end]).clip(-most, most) for end in ("ci_low", "ci_high")}
    return kept.assign(**ends)


def mcnemar(fixed: int, broken: int) -> float:
    """McNemar's exact test: could as many decisions be put right as wrong?

    Args:
        fixed: decisions that were wrong and are right.
        broken: decisions that were right and are wrong.

    Returns:
        The two-sided p-value; 1 where nothing changed.
    """
    n = fixed + broken
    tail = sum(comb(n, k) for k in range(min(fixed, broken) + 1))
    return min(1.0, 2 * tail / 2**n)


def holm(p: Sequence[float]) -> NDArray[np.float64]:
    """p-values of one family, corrected after Holm (1979); they may exceed 1."""
    values = np.array(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(len(values))
    adjusted[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    return adjusted


def mcnemar_verdicts(fixed: list[int], broken: list[int]) -> list[str]:
    """Verdicts of several such questions asked at once, corrected after Holm.

    Returns:
        ``better``, ``worse`` or ``not distinguishable`` for each.
    """
    adjusted = holm([mcnemar(a, b) for a, b in zip(fixed, broken, strict=True)])
    return [
        UNCLEAR if q > ALPHA else (BETTER if a > b else WORSE)
        for q, a, b in zip(adjusted, fixed, broken, strict=True)
    ]

"""Tests between two runs, as the pages make and choose them."""

from __future__ import annotations

import pandas as pd
import pytest

from dashboard.evidence.changes import two_sided
from dashboard.frames import tests


def test_mcnemar_is_the_exact_binomial_one() -> None:
    scipy = pytest.importorskip("scipy.stats")
    for fixed, broken in ((0, 0), (5, 0), (3, 9), (40, 22)):
        expected = scipy.binomtest(fixed, fixed + broken).pvalue if fixed + broken else 1.0
        assert tests.mcnemar(fixed, broken) == pytest.approx(expected)


def test_verdicts_are_corrected_for_the_number_of_questions() -> None:
    assert tests.mcnemar(7, 0) < 0.05
    assert tests.mcnemar_verdicts([7], [0]) == ["better"]
    assert tests.mcnemar_verdicts([0], [7]) == ["worse"]
    assert tests.mcnemar_verdicts([7, 3, 3, 3], [0, 3, 2, 2])[0] == "not distinguishable", (
        "p = 0.016, four questions"
    )
    assert tests.mcnemar_verdicts([20, 3, 3, 3], [0, 3, 2, 2])[0] == "better"


def test_no_interval_is_wider_than_a_difference_can_be() -> None:
    rows = pd.DataFrame(
        [
            {"test": "bootstrap", "metric": "recall", "defect": None, "ci_low": -2.1, "ci_high": 0.9},
            {"test": "bootstrap", "metric": "mcc", "defect": None, "ci_low": -1.5, "ci_high": 2.5},
            {"test": "bootstrap", "metric": "cost", "defect": None, "ci_low": -900.0, "ci_high": None},
        ]
    )
    kept = tests.deciding(rows)
    assert kept["ci_low"].tolist() == [-1.0, -1.5, -900.0]
    assert kept["ci_high"].tolist()[:2] == [0.9, 2.0] and kept["ci_high"].isna().iloc[2]


def test_the_deciding_test_is_the_one_with_the_interval() -> None:
    rows = pd.DataFrame(
        [
            ("rot", "mcc", 0.1, "corrected-t", None, None),
            ("rot", "mcc", 0.2, "bootstrap", 0.1, 0.3),
            ("rot", "accuracy", 0.3, "mcnemar", None, None),
        ],
        columns=["defect", "metric", "delta", "test", "ci_low", "ci_high"],
    )
    assert tests.deciding(rows)["delta"].tolist() == [0.2]


def test_both_sides_of_a_change_have_their_counts() -> None:
    sums = pd.DataFrame(
        [{"n": 90, "found": 4, "cleared": 3, "lost": 1, "alarmed": 1, "fixed": 7, "broken": 2}]
    )
    broken, fixed = two_sided(sums, ["rot"], ["not distinguishable"]).to_dict("records")
    assert (broken["n"], broken["text"], broken["words"]) == (-2, "2", "1 newly missed, 1 new false alarms")
    assert (fixed["n"], fixed["gap"], fixed["heading"]) == (7, "+5 (unclear)", "rot")

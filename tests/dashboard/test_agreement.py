"""Agreement with the labels: counted, quoted with its interval, and what it says of a defect not learned."""

from __future__ import annotations

import pandas as pd
import pytest
from sklearn.metrics import matthews_corrcoef

from dashboard.answers import Answer, borne_out
from dashboard.frames.agreement import Agreement, agreements, matthews, not_learned, with_agreement

COUNTS = pd.DataFrame(
    [("rot", 8, 2, 2, 88), ("scar", 9, 80, 1, 10), ("none", 0, 5, 0, 95)],
    columns=["defect", "tp", "fp", "fn", "tn"],
)
METRICS = pd.DataFrame(
    [("mcc", "rot", 0.78, 0.6, 0.9), ("mcc", "scar", 0.0, -0.1, 0.1), ("mcc", None, 0.4, 0.3, 0.5),
     ("recall", "rot", 0.8, 0.5, 0.9)],
    columns=["metric", "defect", "value", "ci_low", "ci_high"],
)  # fmt: skip
FOUND = Answer("The baseline finds 90 of 100 fruit with scar.", "10 of 100 alarms are right.")


@pytest.mark.parametrize("counts", [(8, 2, 2, 88), (9, 80, 1, 10), (3, 0, 0, 4), (1, 9, 9, 1)])
def test_the_correlation_is_that_of_scikit_learn(counts: tuple[int, int, int, int]) -> None:
    tp, fp, fn, tn = counts
    truth = [1] * (tp + fn) + [0] * (fp + tn)
    said = [1] * tp + [0] * fn + [1] * fp + [0] * tn
    assert matthews(*counts) == pytest.approx(matthews_corrcoef(truth, said))


def test_who_calls_every_fruit_defective_agrees_with_nobody() -> None:
    assert matthews(10, 90, 0, 0) == 0


def test_stored_intervals_are_quoted_and_other_decisions_are_counted() -> None:
    stored, counted = agreements(COUNTS, METRICS), agreements(COUNTS)
    assert set(stored) == {"rot", "scar", None}
    assert stored["rot"] == Agreement(0.78, 0.6, 0.9)
    assert counted["rot"] == Agreement(matthews(8, 2, 2, 88))
    assert stored["rot"].note == "agreement 0.78 (0.60 to 0.90)"
    assert stored["scar"].note.startswith("not learned: agreement 0")
    assert [one.learned for one in (*counted.values(), stored["scar"])] == [True, True, False]


def test_a_family_has_no_agreement_over_all() -> None:
    family = agreements(COUNTS[COUNTS["defect"] != "rot"], METRICS)
    assert set(family) == {"scar"}
    assert with_agreement(FOUND, "the baseline", family, ("scar", "none")).text.endswith("not learned scar.")


def test_a_defect_that_is_not_learned_is_named() -> None:
    agreed = agreements(COUNTS, METRICS)
    assert "scar" in not_learned(agreed, ("rot", "scar")) and not not_learned(agreed, ("rot", "none"))
    one = with_agreement(FOUND, "the baseline", agreed, ("scar",))
    assert one.text.startswith("The baseline has not learned scar")
    assert one.detail == f"{FOUND.text} {FOUND.detail}"


def test_agreement_stands_before_what_is_found() -> None:
    agreed = agreements(COUNTS, METRICS)
    several = with_agreement(FOUND, "the baseline", agreed, ("rot", "scar"))
    assert several.text == "The baseline has not learned scar."
    assert several.detail.startswith("Not learned")
    assert f"Agreement with the labels (MCC) is 0.40 (0.30 to 0.50). {FOUND.text}" in several.detail
    whole = with_agreement(FOUND, "the baseline", agreed, ("rot", "none"))
    assert whole.text == FOUND.text and whole.detail.startswith("Agreement with the labels (MCC) is 0.40")
    learned = with_agreement(FOUND, "the baseline", agreed, ("rot",))
    assert learned.detail == f"Agreement with the labels (MCC) is 0.78 (0.60 to 0.90). {FOUND.detail}"


def test_what_is_found_counts_only_where_agreement_bears_it_out() -> None:
    tests = pd.DataFrame(
        [
            ("recall", "rot", 0.2, 0.1, 0.3), ("mcc", "rot", 0.2, 0.1, 0.3),
            ("recall", "scar", 0.5, 0.3, 0.7), ("mcc", "scar", -0.1, -0.2, 0.1),
            ("recall", "soft", 0.1, -0.1, 0.2), ("mcc", "soft", 0.3, 0.1, 0.5),
            ("recall", "dull", 0.1, -0.1, 0.2), ("mcc", "dull", 0.1, -0.1, 0.5),
            ("recall", None, 0.2, 0.1, 0.3),
        ],
        columns=["metric", "defect", "delta", "ci_low", "ci_high"],
    )  # fmt: skip
    kept = borne_out(tests)
    assert kept["metric"].tolist() == ["recall", "mcc", "mcc", "recall", "recall"]
    assert kept["delta"].tolist() == [0.2, -0.1, 0.3, 0.1, 0.2]

"""Rows of charts from rows of the store."""

from __future__ import annotations

import pandas as pd
import pytest

from backend.store.queries.catalog import DatasetFacts, DefectFacts
from dashboard import multiples
from dashboard.contenders import Contender
from dashboard.frames import confusion, costs, defects

COUNTS = {"tp": 30, "fn": 10, "fp": 5, "tn": 155}
NAMES = ("defect", "sound")


def facts(
    *named: tuple[str, str, float, float], healthy: str = "fine", task: str = "multilabel"
) -> DatasetFacts:
    found = tuple(DefectFacts(*values) for values in named)
    return DatasetFacts("d", "d", task, True, 9, 9, healthy, found, {}, (), "", "", "", "", "", ())


def cell(frame: pd.DataFrame, truth: str, said: str) -> pd.Series:
    return frame[(frame["truth"] == truth) & (frame["said"] == said)].iloc[0]


@pytest.mark.parametrize(
    ("show", "share", "large", "small"),
    [
        ("counts", 0.25, "10", "25 % missed"),
        ("row", 0.25, "25 %", "10 missed"),
        ("column", 10 / 165, "6 %", "10 missed"),
    ],
)
def test_a_cell_says_count_and_share(show, share, large, small) -> None:
    missed = cell(confusion.matrix_rows(COUNTS, show, NAMES), "defect", "sound")
    assert missed["share"] == pytest.approx(share)
    assert (missed["large"], missed["small"], missed["n"]) == (large, small, 10)


def test_only_healthy_fruit_that_pass_are_dimmed() -> None:
    frame = confusion.matrix_rows(COUNTS, "counts", NAMES)
    assert frame[frame["quiet"] == 1][["truth", "said"]].values.tolist() == [["sound", "sound"]]


def test_nothing_to_divide_by_is_a_dash_and_not_a_zero() -> None:
    frame = confusion.matrix_rows({"tp": 0, "fn": 0, "fp": 1, "tn": 9}, "row", NAMES)
    assert cell(frame, "defect", "defect")["large"] == "–"
    moved = confusion.matrix_difference({"tp": 0, "fn": 0, "fp": 1, "tn": 9}, COUNTS, NAMES)
    assert cell(moved, "defect", "defect")["large"] == "– of 100"
    assert moved["shade"].notna().all()


def test_a_difference_has_its_sign() -> None:
    ours = {"tp": 36, "fn": 4, "fp": 5, "tn": 155}
    found = confusion.matrix_difference(ours, COUNTS, NAMES)
    hit = cell(found, "defect", "defect")
    assert (hit["large"], hit["small"], hit["n"]) == ("+15 of 100", "+6 fruit", 6)
    assert cell(found, "defect", "sound")["large"] == "−15 of 100"
    assert cell(found, "sound", "sound")["large"] == "0 of 100"


def test_clicks_lead_back_to_outcomes() -> None:
    for names in (NAMES, confusion.sides(multiclass=True)):
        for outcome in ("tp", "fn", "fp", "tn"):
            assert confusion.outcome_of(*confusion.cell_of(outcome, names), names) == outcome


def test_every_pair_of_classes_has_a_cell() -> None:
    rows = pd.DataFrame({"true_class": ["a", "a", "b"], "predicted_class": ["a", "b", "b"], "n": [6, 2, 4]})
    frame = confusion.class_rows(rows, ("a", "b", "c"), "b", "row")
    assert len(frame) == 9
    assert cell(frame, "a", "b")["share"] == pytest.approx(0.25)
    assert cell(frame, "c", "c")["large"] == "–" and cell(frame, "b", "b")["quiet"] == 1
    by_column = confusion.class_rows(rows, ("a", "b", "c"), "b", "column")
    assert cell(by_column, "a", "b")["share"] == pytest.approx(2 / 6)
    same = confusion.class_difference(frame, frame)
    assert (same["n"] == 0).all() and (same["shade"] == 0).all()


def test_prices_follow_the_data_set() -> None:
    dataset = facts(("rot", "internal", 2.0, 0.5), ("fine", "other", 9.0, 9.0), task="multiclass")
    counts = pd.DataFrame({"defect": ["rot", "fine"], "tp": [1, 1], "fp": [4, 4], "fn": [2, 2], "tn": [3, 3]})
    found = costs.priced(dataset, counts).set_index("defect")
    assert tuple(found.loc["rot", ["misses", "alarms", "total"]]) == (400.0, 200.0, 600.0)
    assert found.loc["fine", "total"] == 0.0, "missing the healthy class is a false alarm of another"
    assert not costs.same_prices(dataset)
    assert costs.same_prices(facts(("a", "internal", 1.0, 1.0), ("b", "external", 1.0, 1.0)))


def test_internal_defects_come_first_then_the_frequent() -> None:
    dataset = facts(
        ("scar", "external", 1, 1),
        ("rot", "internal", 1, 1),
        ("fine", "other", 1, 1),
        ("bruise", "internal", 1, 1),
    )
    counts = pd.DataFrame(
        {"defect": ["scar", "rot", "bruise"], "positives": [90, 3, 8], "labelled": [99, 99, 99]}
    )
    assert defects.fixed_order(dataset, counts) == ("bruise", "rot", "scar", "fine")


def rows_of_both() -> pd.DataFrame:
    sides = {
        "reference": Contender("a", "supervised", "base", "t", 0.5, 1),
        "challenger": Contender("b", "barlow_twins", "barlow", "t", 0.6, 1),
    }
    metrics = pd.DataFrame(
        [
            ("a", "recall", "rot", 0.5, 0.4, 0.6),
            ("b", "recall", "rot", 0.7, 0.6, 0.8),
            ("a", "recall", "scar", None, None, None),
        ],
        columns=["run_id", "metric", "defect", "value", "ci_low", "ci_high"],
    )
    tests = pd.DataFrame(
        [("rot", "recall", 0.2, 0.05, 0.3, "better"), ("scar", "recall", 0.1, -0.1, 0.3, "")],
        columns=["defect", "metric", "delta", "ci_low", "ci_high", "verdict"],
    )
    return defects.defect_rows(("rot", "scar"), sides, metrics, tests, "recall")


def test_both_sides_of_a_defect_stand_in_one_row() -> None:
    frame = rows_of_both()
    ours = frame[(frame["defect"] == "rot") & (frame["side"] == "challenger")].iloc[0]
    assert (ours["value"], ours["low"], ours["high"]) == (70.0, 60.0, 80.0)
    assert ours["gap"] == "+20"
    theirs = frame[(frame["defect"] == "rot") & (frame["side"] == "reference")].iloc[0]
    assert (theirs["gap"], theirs["heading"]) == ("", "rot")


def test_unclear_and_undefined_are_said_in_words() -> None:
    frame = rows_of_both()
    scar = frame[(frame["defect"] == "scar") & (frame["side"] == "challenger")].iloc[0]
    assert scar["gap"] == "+10 (unclear)"
    assert pd.isna(scar["value"]) and scar["text"].startswith("undefined")


def test_balance_counts_what_is_labelled() -> None:
    counts = pd.DataFrame({"defect": ["rot"], "positives": [3], "labelled": [12]})
    frame = defects.balance_rows(("rot", "scar"), counts)
    assert frame["text"].tolist() == ["3 (25 %)", "0 (–)"]


@pytest.mark.parametrize(
    ("ours", "sentence"),
    [
        ({"tp": 34, "fn": 6}, "agreement +0.070 · +10 of 100 found · errors cost 80 less per 1,000 fruit"),
        ({"fp": 25, "tn": 135}, "agreement −0.22 · 0 of 100 found · errors cost 200 more per 1,000 fruit"),
    ],
)
def test_a_difference_says_what_was_gained_in_fruit_and_in_money(ours: dict[str, int], sentence: str) -> None:
    shown = multiples.Shown(facts(("rot", "internal", 4.0, 2.0)), ("rot",), {})
    mine, theirs = (pd.DataFrame([{"defect": "rot", **COUNTS, **changed}]) for changed in (ours, {}))
    (figure,) = multiples.differences(shown, mine, theirs)
    assert figure.sentence == sentence


def test_errors_that_cost_the_same_are_not_called_cheaper() -> None:
    shown = multiples.Shown(facts(("rot", "internal", 4.0, 2.0)), ("rot",), {})
    same = pd.DataFrame([{"defect": "rot", **COUNTS}])
    (figure,) = multiples.differences(shown, same, same)
    assert "cost" not in figure.sentence


def test_what_nobody_labelled_has_no_price_to_compare() -> None:
    shown = multiples.Shown(facts(("rot", "internal", 4.0, 2.0)), ("rot",), {})
    none = pd.DataFrame([{"defect": "rot", "tp": 0, "fn": 0, "fp": 0, "tn": 0}])
    (figure,) = multiples.differences(shown, none, none)
    assert "cost" not in figure.sentence

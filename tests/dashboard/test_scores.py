"""Decisions recomputed from scores, against scikit-learn and against counting by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_curve

from dashboard import scores
from dashboard.scores import ScoreTable


def rows(n: int = 60, seed: int = 3) -> pd.DataFrame:
    """Predictions of n fruit for two defects in two folds; some labels missing."""
    random = np.random.default_rng(seed)
    records = []
    for i in range(n):
        for defect in ("rot", "scar"):
            truth = int(random.random() < 0.3)
            score = float(np.float32(np.clip(random.normal(0.35 + 0.3 * truth, 0.2), 0, 1).round(2)))
            known = None if random.random() < 0.1 else truth
            records.append((i % 2, f"f{i}", defect, known, score, int(score >= 0.45)))
    names = ["fold", "fruit_id", "defect", "y_true", "score", "y_pred"]
    return pd.DataFrame(records, columns=names).sample(frac=1, random_state=seed)


@pytest.fixture
def table() -> ScoreTable:
    return ScoreTable.from_rows(rows(), ("scar", "rot"))


def flat(table: ScoreTable, defect: str) -> tuple[np.ndarray, np.ndarray]:
    column = table.defects.index(defect)
    known = ~np.isnan(table.truth[:, column])
    return table.truth[known, column], table.score[known, column]


def test_rows_become_arrays_whatever_their_order(table: ScoreTable) -> None:
    source = rows().set_index(["fruit_id", "defect"])
    assert table.score.shape == (60, 2) and table.defects == ("scar", "rot")
    for i, name in enumerate(table.fruit_ids):
        for j, defect in enumerate(table.defects):
            expected = source.loc[(name, defect)]
            assert table.score[i, j] == expected["score"] and table.fold[i] == expected["fold"]
            assert (table.truth[i, j] == expected["y_true"]) or np.isnan(expected["y_true"])


def test_no_rows_make_an_empty_table() -> None:
    table = ScoreTable.from_rows(rows().head(0), ("rot",))
    assert table.fruit_ids == () and scores.confusion(table)["tp"].tolist() == [0]
    assert scores.precision_recall(table, "rot").empty and scores.calibration(table, "rot").empty
    assert scores.cost_by_threshold(table, "rot", miss=1, false_alarm=1).empty


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("defect", ["rot", "scar"])
def test_counts_agree_with_scikit_learn(table: ScoreTable, threshold: float, defect: str) -> None:
    truth, score = flat(table, defect)
    tn, fp, fn, tp = confusion_matrix(truth, score >= threshold, labels=[0, 1]).ravel()
    found = scores.confusion(table, threshold).set_index("defect").loc[defect]
    assert tuple(found[["tp", "fp", "fn", "tn"]]) == (tp, fp, fn, tn)


def test_as_trained_uses_the_run_s_own_decisions(table: ScoreTable) -> None:
    pd.testing.assert_frame_equal(scores.confusion(table, None), scores.confusion(table, 0.45))


def test_folds_add_up(table: ScoreTable) -> None:
    whole = scores.confusion(table, 0.4).set_index("defect")
    parts = sum(scores.confusion(table, 0.4, fold).set_index("defect") for fold in (0, 1))
    pd.testing.assert_frame_equal(whole, parts)


@pytest.mark.parametrize("outcome", scores.OUTCOMES)
def test_a_cell_holds_its_fruit_most_confident_first(table: ScoreTable, outcome: str) -> None:
    found = scores.members(table, "rot", outcome, 0.4)
    counts = scores.confusion(table, 0.4).set_index("defect").loc["rot"]
    assert len(found) == counts[outcome]
    order = [table.score[row, 1] for row in found]
    assert order == sorted(order, reverse=outcome in ("tp", "fp"))


def test_curve_passes_through_scikit_learn_s_points(table: ScoreTable) -> None:
    truth, score = flat(table, "rot")
    precision, recall, thresholds = precision_recall_curve(truth, score)
    expected = {round(float(t), 6): (p, r) for t, p, r in zip(thresholds, precision, recall, strict=False)}
    found = scores.precision_recall(table, "rot")
    assert len(found) > 20
    for row in found.itertuples():
        assert (row.precision, row.recall) == pytest.approx(expected[round(row.threshold, 6)])


def test_long_curves_are_thinned_but_keep_their_ends() -> None:
    random = np.random.default_rng(0)
    score = random.random((5000, 1))
    truth = (random.random((5000, 1)) < score).astype(float)
    table = ScoreTable(tuple(map(str, range(5000))), np.zeros(5000, int), ("rot",), truth, score, truth)
    found = scores.precision_recall(table, "rot", most=100)
    assert len(found) <= 100 and found["recall"].iloc[-1] == 1.0


def test_calibration_bins_hold_all_fruit(table: ScoreTable) -> None:
    truth, score = flat(table, "rot")
    bins = scores.calibration(table, "rot")
    assert bins["n"].sum() == len(truth)
    assert np.average(bins["rate"], weights=bins["n"]) == pytest.approx(truth.mean())
    assert np.average(bins["score"], weights=bins["n"]) == pytest.approx(score.mean())


def test_cost_curve_agrees_with_counting(table: ScoreTable) -> None:
    curve = scores.cost_by_threshold(table, "rot", miss=3.0, false_alarm=0.5).set_index("threshold")["cost"]
    for threshold in (0.0, 0.25, 0.45, 0.8, 1.0):
        cells = scores.confusion(table, threshold).set_index("defect").loc["rot"]
        expected = 1000 * (3.0 * cells["fn"] + 0.5 * cells["fp"]) / cells.sum()
        assert curve[threshold] == pytest.approx(expected), threshold


def test_classes_are_counted_by_the_class_that_was_chosen() -> None:
    truth = np.array([[1.0, 0], [1, 0], [0, 1]])
    decided = np.array([[1.0, 0], [0, 1], [0, 1]])
    score = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    table = ScoreTable(("a", "b", "c"), np.array([0, 0, 1]), ("ripe", "raw"), truth, score, decided)
    assert scores.class_members(table, "ripe", "raw") == [1]
    assert scores.class_members(table, "raw", "raw", fold=0) == []
    counted = scores.class_confusion(table).set_index(["true_class", "predicted_class"])["n"].to_dict()
    assert counted == {("ripe", "ripe"): 1, ("ripe", "raw"): 1, ("raw", "raw"): 1}
    assert scores.class_confusion(table, fold=1)["n"].tolist() == [1]


def test_some_fruit_alone_keep_their_own_numbers(table: ScoreTable) -> None:
    names = {"f3", "f8", "f40"}
    some = table.only(names)
    assert set(some.fruit_ids) == names and some.score.shape == (3, 2)
    for row, name in enumerate(some.fruit_ids):
        whole = table.fruit_ids.index(name)
        assert some.fold[row] == table.fold[whole]
        np.testing.assert_array_equal(some.score[row], table.score[whole])
    rest = table.only(set(table.fruit_ids) - names)
    counts = ["tp", "fp", "fn", "tn"]
    parts = scores.confusion(some)[counts] + scores.confusion(rest)[counts]
    pd.testing.assert_frame_equal(parts, scores.confusion(table)[counts])

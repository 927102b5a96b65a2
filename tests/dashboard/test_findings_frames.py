"""Rows of charts on explanations, features, the search, the data, and runs beside each other."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from dashboard.frames import compare, explanations, findings, space, tuning
from dashboard.frames.fruit import score_table
from dashboard.scores import ScoreTable
from dashboard.theme import Tint

NAN = float("nan")
FACTS = pd.DataFrame(
    {
        "fruit_group": ["p1", "p1", "p2", "p2"],
        "defect:rot": [1.0, 0.0, 1.0, NAN],
        "defect:scar": [1.0, 0.0, 0.0, NAN],
        "pressure:tap": [1.0, 2.0, NAN, 4.0],
    },
    index=pd.Index(["a", "b", "c", "d"], name="fruit_id"),
)
ORDER = ("rot", "scar")
JUDGED = ScoreTable(
    ("c", "b", "a"),
    np.array([1, 0, 0]),
    ORDER,
    np.array([[1, 0], [0, 0], [1, 1]], float),
    np.array([[0.3, 0.1], [0.9, 0.2], [0.8, 0.7]]),
    np.array([[0, 0], [1, 0], [1, 1]], float),
)


def test_fruit_are_found_by_id_and_never_by_position() -> None:
    table = score_table(["d", "a", "x", "c"], FACTS, ORDER, JUDGED)
    assert table.fruit_ids == ("d", "a", "x", "c")
    np.testing.assert_array_equal(table.truth, [[NAN, NAN], [1, 1], [NAN, NAN], [1, 0]])
    np.testing.assert_array_equal(table.score, [[NAN, NAN], [0.8, 0.7], [NAN, NAN], [0.3, 0.1]])
    assert table.fold.tolist() == [-1, 0, -1, 1]
    assert np.isnan(score_table(["a"], FACTS, ORDER).decided).all()


def test_a_fruit_has_the_colour_of_its_first_defect() -> None:
    tints = {"rot": Tint("internal"), "scar": Tint("external")}
    found = space.by_defect(FACTS, ORDER, tints, "a-quality")
    assert found.values.tolist() == ["rot", "a-quality", "rot", "not labelled"]
    assert found.names == ("rot", "scar", "a-quality", "not labelled") and len(found.paints) == 4
    one = space.by_defect(FACTS, ("scar",), tints, "a-quality")
    assert one.values.tolist() == ["scar", "without it", "without it", "not labelled"]


def test_decisions_are_named_by_their_worst_error() -> None:
    table = score_table(["a", "b", "c", "d"], FACTS, ORDER, JUDGED)
    assert space.by_decision(table, ORDER).values.tolist() == ["found", "false alarm", "missed", "not judged"]
    assert space.by_decision(table, ("scar",)).values.tolist() == ["found", "passed", "passed", "not judged"]


def test_only_the_largest_groups_have_a_colour() -> None:
    groups = pd.Series([f"g{i % 9}" for i in range(40)])
    found = space.by_group(groups)
    assert found.names == (*(f"g{i}" for i in range(7)), "other pallets")
    assert len(found.paints) == 8 and found.values.tolist()[7] == "other pallets"


def test_points_keep_their_fruit_and_pale_ones_lie_below() -> None:
    points = pd.DataFrame({"fruit_id": ["a", "b", "c", "d"], "x": [1.0, 2, 3, 4], "y": [0.0] * 4})
    coloured = space.by_defect(FACTS, ("rot",), {"rot": Tint("internal")}, "a-quality")
    rows = space.point_rows(points, coloured, FACTS["fruit_group"], {"c": "1"})
    assert rows["fruit"].tolist() == ["b", "d", "a", "c"] and rows["x"].tolist() == [2, 4, 1, 3]
    assert rows.set_index("fruit")["label"].to_dict() == {"a": "", "b": "", "c": "1", "d": ""}


def test_a_box_holds_what_lies_in_it_nearest_first() -> None:
    points = pd.DataFrame(
        {"fruit_id": ["far", "near", "out", "edge"], "x": [0.0, 0.5, 2, 1], "y": [0, 0.4, 0, 1]}
    )
    assert space.inside_box(points, (1, 0, 0, 1)) == ["near", "far", "edge"]
    assert space.inside_box(points, (5, 6, 5, 6)) == []


def test_likeness_is_counted_among_labelled_neighbours() -> None:
    neighbours = pd.DataFrame(
        [("a", "c"), ("a", "b"), ("a", "d"), ("c", "a"), ("b", "a")], columns=["fruit_id", "neighbour_id"]
    )
    found = space.likeness(neighbours, FACTS, ORDER).set_index("defect")
    assert found.loc["rot", "shared"] == pytest.approx(2 / 3) and found.loc["rot", "n"] == 2
    assert found.loc["rot", "chance"] == pytest.approx(2 / 3)
    assert found.loc["scar", "shared"] == 0.0
    rows = space.likeness_rows(found.reset_index())
    assert rows[rows["side"] == "challenger"]["gap"].tolist() == ["1.0 times chance", "0 times chance"]


MAPS = pd.DataFrame(
    [
        ("a", "rot", "rgb", "1", "x/a1.png", "tp", 0.9, 1.0, "p1"),
        ("a", "rot", "nir", "1", "x/a2.png", "tp", 0.9, 1.0, "p1"),
        ("b", "rot", "rgb", "1", "x/b.png", "fp", 0.6, None, "p1"),
        ("c", "rot", "rgb", "1", "x/c.png", "fn", 0.1, 0.0, "p2"),
        ("c", "scar", "rgb", "1", "x/d.png", "odd", None, None, "p2"),
    ],
    columns=["fruit_id", "defect", "modality", "view", "path", "outcome", "score", "pointing", "fruit_group"],
)


def test_a_case_holds_all_maps_of_a_fruit_and_a_defect() -> None:
    found = explanations.cases(MAPS)
    assert list(found) == [("a", "rot"), ("b", "rot"), ("c", "rot"), ("c", "scar")]
    assert found["a", "rot"].maps == {("rgb", "1"): "x/a1.png", ("nir", "1"): "x/a2.png"}
    assert found["c", "scar"].outcome == "" and np.isnan(found["c", "scar"].score)


@pytest.mark.parametrize(
    ("outcomes", "group", "scores", "expected"),
    [
        ((), "", (0.0, 1.0), [("a", "rot"), ("c", "rot"), ("b", "rot"), ("c", "scar")]),
        (("fn", "fp"), "", (0.0, 1.0), [("c", "rot"), ("b", "rot")]),
        ((), "p2", (0.0, 1.0), [("c", "rot"), ("c", "scar")]),
        ((), "", (0.5, 1.0), [("a", "rot"), ("b", "rot")]),
    ],
)
def test_cases_pass_the_filters(outcomes, group, scores, expected) -> None:
    found = explanations.chosen(explanations.cases(MAPS), ORDER, outcomes, group, scores)
    assert [(case.fruit_id, case.defect) for case in found] == expected


def test_the_share_on_the_defect_is_shown_beside_that_of_the_other_run() -> None:
    metrics = pd.DataFrame(
        [
            ("a", "rot", 0.5, 0.4, 0.6),
            ("b", "rot", 0.75, None, None),
            ("a", "scar", 0.9, 0.8, 1.0),
            ("a", None, 0.7, None, None),
        ],
        columns=["run_id", "defect", "value", "ci_low", "ci_high"],
    ).assign(metric=explanations.POINTING)
    alone = explanations.localisation_rows(metrics, {"challenger": "b"}, ORDER)
    assert alone["defect"].tolist() == ["rot"] and alone["gap"].tolist() == ["75 of 100"]
    sides = {"reference": "a", "challenger": "b"}
    both = explanations.localisation_rows(metrics, sides, ("rot",)).set_index("side")
    assert both.loc["challenger", "gap"] == "+25" and both.loc["reference", "low"] == 40
    assert explanations.localisation_rows(metrics.head(0), sides, ORDER).empty


def trial_rows(n: int) -> pd.DataFrame:
    rows = []
    for i in range(n):
        params = {
            "kind": "baseline",
            "seed": i,
            "optim": {"learning_rate": 10.0 ** -(1 + i % 4), "epochs": 5},
            "model": {"backbone": "a" if i % 2 else "b", "modalities": ["rgb"]},
            "method": {"name": "x", "params": [["temperature", 0.1 * (i % 3)]]},
        }
        rows.append((f"r{i}", json.dumps(params), 0.1 * (i % 4), 60.0 * (1 + i)))
    return pd.DataFrame(rows, columns=["run_id", "params", "score", "seconds"])


def test_only_settings_that_differ_are_shown() -> None:
    table = tuning.parameters(trial_rows(12))
    assert list(table.columns) == ["learning rate", "backbone", "temperature"]
    assert tuning.logarithmic(table["learning rate"]) and not tuning.logarithmic(table["backbone"])


def test_what_moves_the_score_matters_most() -> None:
    trials = trial_rows(40)
    found = tuning.importance(tuning.parameters(trials), trials["score"])
    assert found["name"].iloc[0] == "learning rate" and found["share"].iloc[0] > 0.6
    assert found["share"].sum() == pytest.approx(1)
    assert tuning.importance(tuning.parameters(trials.head(5)), trials["score"].head(5)).empty


def test_the_history_keeps_the_best_so_far() -> None:
    trials = trial_rows(6).assign(score=[0.2, None, 0.5, 0.4, 0.5, 0.1])
    rows = tuning.history_rows(trials)
    assert rows["trial"].tolist() == [1, 2, 3, 4, 5] and rows["best"].tolist() == [0.2, 0.5, 0.5, 0.5, 0.5]
    assert rows["label"].tolist()[-1] == "best so far: 0.50" and tuning.needed(trials) == 2


def test_no_trial_on_the_front_is_beaten() -> None:
    trials = pd.DataFrame({"score": [0.3, 0.5, 0.4, 0.6, None], "seconds": [60.0, 120, 180, 600, 5]})
    rows = tuning.cost_rows(trials)
    assert rows.loc[rows["front"] == 1, "score"].tolist() == [0.3, 0.5, 0.6]
    assert rows.loc[rows["label"] != "", "score"].tolist() == [0.3, 0.6]


def test_lines_run_from_the_lowest_to_the_highest_value() -> None:
    trials = trial_rows(8)
    rows = tuning.parallel_rows(tuning.parameters(trials), trials["score"])
    lines = rows[rows["part"] == "line"]
    assert set(lines["axis"]) == {"learning rate", "backbone", "temperature", "agreement"}
    assert lines["place"].min() == 0 and lines["place"].max() == 1
    ticks = rows[(rows["part"] == "tick") & (rows["axis"] == "backbone")]
    assert dict(zip(ticks["text"], ticks["place"], strict=True)) == {"a": 0.0, "b": 1.0}


def test_a_setting_is_drawn_with_the_best_trial_on_top() -> None:
    trials = trial_rows(8)
    rows = tuning.slice_rows(tuning.parameters(trials)["backbone"], trials["score"])
    assert rows["best"].tolist() == [0] * 7 + [1] and rows["score"].iloc[-1] == trials["score"].max()


def test_of_equally_good_trials_the_first_is_called_best() -> None:
    rows = tuning.slice_rows(pd.Series([0.1, 0.2, 0.3, 0.4]), pd.Series([0.5, 0.9, 0.9, 0.9]))
    assert rows["value"].tolist() == [0.1, 0.4, 0.3, 0.2] and rows["best"].tolist() == [0, 0, 0, 1]


FOUND = pd.DataFrame(
    [
        ("label_issue", "rot", "a", "", 0.9, '{"given": "none", "likely": "rot"}'),
        ("duplicate", "", "a", "b", 3.0, '{"same_group": false}'),
        ("duplicate", "", "c", "d", 4.0, "no json"),
        ("outlier", "", "c", "", 2.5, "{}"),
        ("drift", "rgb · p1", "", "", -1.2, "{}"),
        ("drift", "nir · p2", "", "", 0.4, "{}"),
        ("sensor", "rgb", "", "", 0.4, '{"mean": 0.4, "missing": 0.02}'),
    ],
    columns=["kind", "subject", "fruit_id", "other_id", "value", "detail"],
)


def test_findings_say_what_is_odd() -> None:
    issues = findings.of_kind(FOUND, "label_issue", ("rot",), ORDER)
    assert findings.listed(issues) == [
        findings.Finding(("a",), "Labelled no rot, more likely rot (90 of 100 sure).")
    ]
    assert findings.of_kind(FOUND, "label_issue", ("scar",), ORDER).empty
    pairs = findings.listed(findings.of_kind(FOUND, "duplicate", ("scar",), ORDER))
    assert [pair.fruit_ids for pair in pairs] == [("a", "b"), ("c", "d")]
    assert "another pallet: 3 of 256" in pairs[0].note and "another" not in pairs[1].note


def test_the_strongest_drift_comes_first_with_its_sign() -> None:
    rows = findings.drift_rows(FOUND)
    assert rows["name"].tolist() == ["RGB · p1", "NIR · p2"]
    assert rows["text"].tolist() == ["−1.2", "+0.40"] and rows["tone"].tolist() == ["fewer", "accent"]


def test_what_a_sensor_did_not_report_is_a_dash() -> None:
    table = findings.sensor_table(FOUND)
    assert table.iloc[0].tolist() == ["RGB", "0.40", "–", "2 %", "–"]


def test_pairs_are_shares_of_the_row() -> None:
    found = pd.DataFrame(
        [("rot", "rot", 10), ("rot", "scar", 5), ("scar", "rot", 5), ("scar", "scar", 50)],
        columns=["a", "b", "n"],
    )
    rows = findings.pair_rows(ORDER, found).set_index(["row", "column"])
    assert rows.loc[("rot", "scar"), "share"] == 0.5 and rows.loc[("scar", "rot"), "share"] == 0.1
    assert rows.loc[("rot", "rot"), "text"] == "" and rows.loc[("rot", "rot"), "shade"] == 0
    best = findings.strongest_pair(rows.reset_index())
    assert best is not None and best["words"] == "Of 10 fruit with rot, 50 of 100 have scar too."


def test_a_group_that_stands_out_has_its_name() -> None:
    rows = [(f"p{i}", "rot", 2, 40) for i in range(9)] + [("bad", "rot", 30, 40), ("tiny", "rot", 2, 2)]
    groups = pd.DataFrame(rows, columns=["fruit_group", "defect", "positives", "labelled"])
    found = findings.group_rows(("rot", "scar"), groups)
    assert found.loc[found["label"] != "", "group"].tolist() == ["bad"] and "tiny" not in set(found["group"])
    assert found["mean"].iloc[0] == pytest.approx(100 * 48 / 400)


def test_what_is_missing_is_a_share_of_all_fruit() -> None:
    present = pd.DataFrame([("rgb", "1", 8), ("pressure", "tap", 10)], columns=["sensor", "part", "present"])
    rows = findings.missing_rows(present, 10)
    assert rows["name"].tolist() == ["RGB view 1", "tap"] and rows["text"].tolist() == ["20 %", "0 %"]


def test_settings_that_are_the_same_are_left_out() -> None:
    table = compare.setting_rows(
        {
            "one": {"seed": 0, "optim": {"epochs": 5, "batch_size": 32}},
            "two": {"seed": 1, "optim": {"epochs": 9, "batch_size": 32}, "extra": {"x": True}},
        }
    )
    assert table.index.tolist() == ["epochs", "extra x"]
    assert table["two"].tolist() == ["9", "true"] and table["one"].tolist() == ["5", ""]


def test_a_curve_is_the_mean_over_folds_with_its_range() -> None:
    rows = pd.DataFrame(
        [(0, 1, "val", "mcc", 0.2), (1, 1, "val", "mcc", 0.4), (0, 1, "train", "mcc", 0.9)],
        columns=["fold", "epoch", "split", "metric", "value"],
    )
    found = compare.curve_rows({"one": rows, "none": rows.head(0)}, "mcc", "val")
    assert found.to_dict("records") == [
        {"epoch": 1, "value": pytest.approx(0.3), "low": 0.2, "high": 0.4, "run": "one"}
    ]


def test_a_handful_of_whole_numbers_are_names() -> None:
    assert tuning.few_sizes(pd.Series([16, 32, 16]))
    assert not tuning.few_sizes(pd.Series([0.1, 0.2])) and not tuning.few_sizes(pd.Series(range(9)))

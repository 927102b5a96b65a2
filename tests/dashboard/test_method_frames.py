"""Rows of the page on methods: protocols, labels needed, curves, health."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from dashboard.frames import methods
from dashboard.frames.method_tests import against_baseline, marks_words, other_words


def test_protocols_are_means_over_seeds_and_never_transductive(run_rows, metric_rows) -> None:
    table = run_rows(
        {"kind": "finetune", "method": "simclr", "seed": 0},
        {"kind": "finetune", "method": "simclr", "seed": 1},
        {"kind": "finetune", "method": "byol", "transductive": 1},
        {"kind": "probe", "method": "simclr", "seed": 0},
        {"kind": "probe", "method": "simclr", "seed": 1},
        {},
    )
    values = metric_rows(
        ("r0", "mcc", None, 0.6, 0.5, 0.7),
        ("r1", "mcc", None, 0.8, 0.7, 0.9),
        ("r2", "mcc", None, 0.9, 0.8, 1.0),
        ("r3", "knn_mcc", None, 0.3, None, None),
        ("r4", "knn_mcc", None, 0.4, None, None),
        ("r5", "mcc", None, 0.5, 0.4, 0.6),
        ("r0", "mcc", "rot", 0.1, 0.0, 0.2),
    )
    rows = methods.protocol_rows(table, values, None).set_index(["method", "protocol"])
    tuned = rows.loc[("simclr", "tuned")]
    assert (tuned["value"], tuned["low"], tuned["high"], tuned["seeds"]) == (
        pytest.approx(0.7),
        0.6,
        pytest.approx(0.8),
        2,
    )
    near = rows.loc[("simclr", "neighbours")]
    assert (near["low"], near["high"]) == (0.3, 0.4), "without an interval the range over seeds"
    assert "byol" not in rows.index.get_level_values("method")
    assert methods.ranked(rows.reset_index(), 1.0) == ("simclr", "supervised")
    assert len(methods.protocol_rows(table, values, "rot")) == 1


def test_random_weights_are_no_pretraining_that_could_be_best(run_rows, metric_rows) -> None:
    table = run_rows({"kind": "probe", "method": "random_init"}, {"kind": "probe", "method": "simclr"})
    values = metric_rows(("r0", "mcc", None, 0.9, 0.8, 1.0), ("r1", "mcc", None, 0.5, 0.4, 0.6))
    rows = methods.protocol_rows(table, values, None)
    assert methods.best_method(rows, 1.0, "readout") == "simclr"
    assert methods.best_method(rows[rows["method"] == "random_init"], 1.0, "readout") is None


def test_validation_fruit_choose_the_method_that_is_argued_for(run_rows, metric_rows) -> None:
    table = run_rows(
        *(
            {"kind": "finetune", "method": method, "seed": seed}
            for method in ("byol", "moco")
            for seed in (0, 1)
        )
    )
    values = metric_rows(
        *((f"r{i}", "mcc", None, value, None, None) for i, value in enumerate((0.9, 0.8, 0.5, 0.6))),
        *((f"r{i}", "inner_mcc", None, value, None, None) for i, value in enumerate((0.5, 0.6, 0.7, 0.8))),
    )
    rows = methods.protocol_rows(table, values, None)
    assert methods.best_method(rows, 1.0) == "moco"
    assert rows.set_index("method").loc["moco", "validation"] == pytest.approx(0.75)
    assert (
        methods.best_method(methods.protocol_rows(table, values[values["run_id"] != "r3"], None), 1.0)
        == "moco"
    )
    some = values[(values["run_id"] != "r3") | (values["metric"] != "inner_mcc")]
    assert methods.best_method(methods.protocol_rows(table, some, None), 1.0) == "byol", "one has none"


def _tests(*rows: tuple) -> pd.DataFrame:
    columns = [
        "run_id_a",
        "run_id_b",
        "defect",
        "metric",
        "delta",
        "ci_low",
        "ci_high",
        "p_adjusted",
        "verdict",
    ]
    return pd.DataFrame(list(rows), columns=columns).assign(test="bootstrap over groups")


def test_marks_stand_for_single_tests_and_words_for_all_of_them(run_rows, metric_rows) -> None:
    names = ("simclr", "byol", "moco", "vicreg")
    table = run_rows({}, *({"kind": "finetune", "method": name} for name in names), {"kind": "probe"})
    clear, weak = (0.1, 0.06, 0.14, 0.001, "better"), (0.05, 0.004, 0.1, 0.04, "better by 0.05 MCC")
    rows = (
        ("r0", "r1", None, "mcc", *clear),
        ("r0", "r2", None, "mcc", *weak),
        ("r0", "r3", None, "mcc", 0.01, -0.04, 0.06, 0.7, "not distinguishable with these fruit"),
        ("r0", "r4", None, "mcc", -0.09, -0.12, -0.06, 0.001, "worse"),
        ("r1", "r2", None, "mcc", *clear),  # no baseline among them
        ("r0", "r5", None, "mcc", *clear),  # no fine-tune
        ("r0", "r3", "rot", "mcc", *clear),
        ("r0", "r3", None, "recall", *clear),
    )
    found = {one.method: one for one in against_baseline(_tests(*rows), table, None)}
    assert {name: (one.verdict, one.differs, one.stands) for name, one in found.items()} == {
        "simclr": ("better", True, True),
        "byol": ("better", True, False),
        "moco": ("not distinguishable", False, False),
        "vicreg": ("worse", True, True),
    }
    every = tuple(found.values())
    assert marks_words(every, 1.0).endswith("after correction for so many tests SimCLR and VICReg are left.")
    assert marks_words(every, 0.1) == ""
    assert marks_words((found["moco"],), 1.0) == "" and "▲ better" in marks_words((found["byol"],), 1.0)
    assert "none of 2 methods" in marks_words(
        (found["moco"], dataclasses.replace(found["moco"], method="a")), 1.0
    )
    assert "none is left" in marks_words((found["byol"], found["moco"]), 1.0)
    assert other_words(every, 1.0, "moco").startswith("SimCLR is better there, also after correction for 4")
    assert "BYOL looks better there" in other_words(tuple(found[n] for n in ("byol", "moco")), 1.0, "moco")
    assert other_words((found["moco"],), 1.0, "moco") == other_words((found["byol"],), 1.0, "byol") == ""
    values = metric_rows(*((f"r{i}", "mcc", None, 0.5, 0.4, 0.6) for i in range(5)))
    cells = methods.grid_rows(methods.protocol_rows(table, values, None), 1.0, every).set_index("row")
    assert cells["large"].to_dict() == {
        "SimCLR": "0.50 ▲",
        "BYOL": "0.50 ▲",
        "MoCo": "0.50",
        "VICReg": "0.50 ▼",
        "baseline": "0.50",
    }
    assert cells.loc["VICReg", "words"].endswith("; worse than the baseline by 0.090 (−0.12 to −0.060)")
    assert [one.method for one in against_baseline(_tests(*rows), table, "rot")] == ["moco"]


@pytest.mark.parametrize(
    ("target", "share", "beyond"),
    [(0.3, 0.01, -1), (0.4, 0.01, 0), (0.5, 0.0316, 0), (0.6, 0.1, 0), (0.7, 0.316, 0), (0.9, 1.0, 1)],
)
def test_labels_are_interpolated_over_their_logarithm(target, share, beyond) -> None:
    found = methods.labels_needed([0.01, 0.1, 1.0], [0.4, 0.6, 0.8], target)
    assert (found.share, found.beyond) == (pytest.approx(share, rel=0.01), beyond)


def test_a_dip_of_the_curve_does_not_hide_its_first_crossing() -> None:
    assert methods.labels_needed([0.01, 0.1, 1.0], [0.4, 0.3, 0.8], 0.55).share == pytest.approx(
        0.316, rel=0.01
    )


def test_lines_of_others_are_quiet_and_named_only_where_there_is_room() -> None:
    rows = pd.DataFrame(
        [
            (method, "tuned", fraction, value, None, None, value - 0.01, value + 0.01, 2)
            for method, end in (("supervised", 0.5), ("simclr", 0.7), ("byol", 0.695), ("moco", 0.3))
            for fraction, value in ((0.1, end - 0.2), (1.0, end))
        ],
        columns=["method", "protocol", "fraction", "value", "low", "high", "least", "most", "seeds"],
    )
    frame = methods.curve_rows(rows, "simclr", "tuned")
    assert set(frame.loc[frame["label"] != "", "label"]) == {"SimCLR", "baseline", "MoCo"}
    assert frame.groupby("series")["tone"].first().to_dict() == {
        "BYOL": "other",
        "MoCo": "other",
        "SimCLR": "accent",
        "baseline": "reference",
    }
    assert frame.loc[frame["tone"] == "other", "low"].isna().all()


def test_a_collapsed_training_has_a_line_of_its_own() -> None:
    curves = pd.DataFrame(
        [
            (run, "embedding_std", epoch, value)
            for run, value in (("a", 0.9), ("b", 0.7), ("c", 0.1))
            for epoch in (1, 2)
        ],
        columns=["run_id", "metric", "epoch", "value"],
    )
    trained = pd.DataFrame(
        [("a", "simclr", "complete"), ("b", "simclr", "complete"), ("c", "simclr", "failed")],
        columns=["run_id", "method", "status"],
    )
    frame = methods.health_rows(curves, trained, "embedding_std", "simclr")
    assert frame.groupby("tone")["value"].first().to_dict() == {"accent": pytest.approx(0.8), "fewer": 0.1}
    assert frame[frame["tone"] == "fewer"]["label"].tolist() == ["", "SimCLR, stopped"]


def test_a_lone_point_at_few_labels_is_named_beside_itself() -> None:
    rows = pd.DataFrame(
        [("simclr", 0.1, 0.4), ("supervised", 0.1, 0.3), ("supervised", 1.0, 0.5)],
        columns=["method", "fraction", "value"],
    ).assign(protocol="tuned", seeds=1, low=None, high=None, least=0.0, most=1.0)
    curves = methods.curve_rows(rows, "simclr", "tuned").set_index("label")["side"]
    assert curves["SimCLR"] == "right" and curves["baseline"] == "above"
    assert methods.shown_protocols(rows, 0.1) == ("tuned",)


@pytest.mark.parametrize(("ours", "expected"), [(0.7, "above"), (0.5, "below")])
def test_of_two_lines_the_lower_one_is_named_below_itself(ours, expected) -> None:
    columns = ["method", "protocol", "fraction", "value", "low", "high", "least", "most", "seeds"]
    rows = pd.DataFrame(
        [
            (method, "tuned", share, value, None, None, value, value, 1)
            for method, value in (("simclr", ours), ("supervised", 0.6))
            for share in (0.1, 1.0)
        ],
        columns=columns,
    )
    named = methods.curve_rows(rows, "simclr", "tuned").query("label != ''").set_index("tone")["side"]
    assert named["accent"] == expected != named["reference"]
    alone = methods.curve_rows(rows[(rows["method"] != "simclr") | (rows["fraction"] < 1)], "simclr", "tuned")
    assert alone.query("label != ''").set_index("tone")["side"].to_dict() == {
        "accent": "right",
        "reference": "above",
    }

"""Rows of the pages on changes, sensors, augmentations and methods, against values counted by hand."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from backend.store.queries.catalog import DatasetFacts, DefectFacts
from dashboard.evidence.changes import two_sided
from dashboard.evidence.prices import budget
from dashboard.frames import augmentations, inputs, methods, tests
from dashboard.frames.augmentations import Policy

FACTS = DatasetFacts(
    "d",
    "d",
    "multilabel",
    True,
    9,
    9,
    "fine",
    (DefectFacts("rot", "internal", 1.0, 1.0),),
    {"rgb": ("1",), "nir": ("1",)},
    ("tap",),
    "",
    "",
    "",
    "",
    "",
    (),
)


def runs(*rows: dict) -> pd.DataFrame:
    base = {
        "study_id": "s",
        "kind": "baseline",
        "method": "supervised",
        "backbone": "tiny",
        "purpose": "input-ablation",
        "modalities": '["rgb"]',
        "label_fraction": 1.0,
        "seed": 0,
        "git_commit": "c",
        "transductive": 0,
        "augment": "{}",
    }
    return pd.DataFrame([base | {"run_id": f"r{i}"} | row for i, row in enumerate(rows)])


def metrics(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["run_id", "metric", "defect", "value", "ci_low", "ci_high"])


# Tests


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


def test_the_deciding_test_is_the_one_with_the_interval() -> None:
    rows = pd.DataFrame(
        [
            ("rot", "mcc", 0.1, "corrected-t"),
            ("rot", "mcc", 0.2, "bootstrap"),
            ("rot", "accuracy", 0.3, "mcnemar"),
        ],
        columns=["defect", "metric", "delta", "test"],
    )
    assert tests.deciding(rows)["delta"].tolist() == [0.2]


# Changes


def test_both_sides_of_a_change_have_their_counts() -> None:
    sums = pd.DataFrame(
        [{"n": 90, "found": 4, "cleared": 3, "lost": 1, "alarmed": 1, "fixed": 7, "broken": 2}]
    )
    broken, fixed = two_sided(sums, ["rot"], ["not distinguishable"]).to_dict("records")
    assert (broken["n"], broken["text"], broken["words"]) == (-2, "2", "1 newly missed, 1 new false alarms")
    assert (fixed["n"], fixed["gap"], fixed["heading"]) == (7, "+5 (unclear)", "rot")


# Sensors


def test_the_final_runs_stand_for_all_sensors() -> None:
    found = inputs.ablations(
        runs(
            {"modalities": '["rgb","nir"]', "purpose": "final", "seed": 1},
            {"modalities": '["nir","rgb"]', "purpose": "final", "seed": 0},
            {"modalities": '["nir"]'},
            {"modalities": '["rgb"]'},
            {"modalities": '["rgb"]', "purpose": "final", "method": "simclr", "kind": "finetune"},
        ),
        FACTS,
    )
    assert len(found) == 1 and found[0].name == "the baseline"
    assert found[0].subsets == (("rgb", "nir"), ("rgb",), ("nir",))
    assert (found[0].full, found[0].without("nir"), found[0].without("rgb")) == ("r1", "r3", "r2")


def test_a_full_set_of_the_ablation_itself_comes_first() -> None:
    found = inputs.ablations(
        runs(
            {"modalities": '["rgb","nir"]', "purpose": "final"},
            {"modalities": '["rgb","nir"]'},
            {"modalities": '["nir"]'},
        ),
        FACTS,
    )
    assert found[0].runs[("rgb", "nir")] == ("r1",) and found[0].without("nir") is None


def test_cells_are_means_over_seeds_in_hundredths() -> None:
    ablation = inputs.Ablation("x", ("rgb", "nir"), {("rgb", "nir"): ("a", "b"), ("rgb",): ("c",)}, "")
    frame = inputs.grid_rows(
        ablation,
        metrics(("a", "recall", "rot", 0.6, 0.5, 0.7), ("b", "recall", "rot", 0.8, 0.7, 0.9)),
        {"rot": "rot (30)", "scar": "scar"},
        "recall",
        "",
    )
    cell = frame[(frame["row"] == "rot (30)") & (frame["column"] == "RGB + NIR")].iloc[0]
    assert (cell["large"], cell["small"], cell["runs"]) == ("70", "±10", 2)
    missing = frame[(frame["row"] == "scar") & (frame["part"] == "cell")]
    assert missing["large"].tolist() == ["–", "–"] and missing["shade"].tolist() == [0.0, 0.0]
    marks = frame[frame["part"] == "mark"].set_index(["row", "column"])["shade"]
    assert marks["NIR", "RGB"] == 0 and marks["NIR", "RGB + NIR"] == 1


def test_differences_of_cost_pair_by_pallet() -> None:
    ablation = inputs.Ablation("x", ("rgb", "nir"), {("rgb", "nir"): ("a",), ("rgb",): ("b",)}, "")
    noise = np.random.default_rng(0).normal(size=40)
    costs = pd.DataFrame(
        [
            (run, f"p{i}", 5 + value + extra)
            for run, extra in (("a", 0), ("b", 1))
            for i, value in enumerate(noise)
        ],
        columns=["run_id", "fruit_group", "cost"],
    )
    row = inputs.cost_rows(ablation, costs).set_index("part").loc[[("rgb",)]].iloc[0]
    assert row["more"] == pytest.approx(40) and row["cost"] == pytest.approx(240 + noise.sum())
    assert row["more_low"] == row["more_high"] == pytest.approx(40), "every pallet costs one more"
    assert row["low"] < row["cost"] < row["high"]


@pytest.mark.parametrize(
    ("more", "low", "high", "price", "words"),
    [
        (130.0, 90.0, 170.0, 0, "Keeping NIR pays as long as it costs less than 130,000 a year."),
        (130.0, 90.0, 170.0, 50_000, "At 50,000 a year, keeping it saves 80,000."),
        (130.0, 90.0, 170.0, 150_000, "At 150,000 a year, dropping it saves 20,000."),
        (20.0, -10.0, 50.0, 0, "The interval includes zero, so this can be chance."),
    ],
)
def test_the_calculator_says_what_dropping_costs(more, low, high, price, words) -> None:
    ablation = inputs.Ablation("x", ("rgb", "nir"), {("rgb", "nir"): ("a",), ("rgb",): ("b",)}, "")
    table = pd.DataFrame([{"part": ("rgb",), "more": more, "more_low": low, "more_high": high}])
    assert budget(table, ablation, "nir", 1_000_000, price).endswith(words)
    assert budget(table, ablation, "rgb", 1_000_000, price) == "", "nothing was run without RGB"


# Augmentations


def policy(**values: object) -> str:
    return json.dumps({"policy": "fruit", "operations": [], "without": [], "strength": 1.0} | values)


FOUND = {
    Policy(): 0.3,
    Policy("fruit"): 0.5,
    Policy("simclr"): 0.4,
    Policy("fruit", without=("crop",)): 0.35,
    Policy("fruit", without=("colour_jitter",)): 0.52,
    Policy("fruit", strength=0.5): 0.45,
    Policy("custom", ("crop",)): 0.42,
    Policy("custom", ("colour_jitter",)): 0.28,
    Policy("custom", ("crop", "colour_jitter")): 0.47,
}


def test_policies_are_read_and_named() -> None:
    assert Policy.read(policy(policy="none")).words == "no augmentation"
    assert Policy.read(policy(strength=0.0)).plain
    assert Policy.read(policy(without=["colour_jitter"])).words == "policy fruit without colour jitter"
    assert Policy.read(policy(policy="custom", operations=["crop", "grey"])).words == "crop + grey"
    assert Policy.read(policy(policy="simclr", strength=0.5)).words == "policy SimCLR, strength 0.50"


def test_scores_are_those_of_the_ranking_seed() -> None:
    table = runs(
        {"kind": "probe", "seed": 7, "augment": policy()},
        {"kind": "pretrain", "seed": 7, "augment": policy()},
        {"kind": "probe", "seed": 7, "augment": policy(policy="none")},
        {"kind": "pretrain", "seed": 0, "augment": policy()},
        {"kind": "finetune", "seed": 7, "augment": policy()},
    )
    values = metrics(
        *((f"r{i}", "inner_mcc", None, v, None, None) for i, v in enumerate((0.4, 0.6, 0.3, 0.9, 0.9)))
    )
    assert augmentations.scores(table, values, "inner_mcc") == {Policy("fruit"): 0.5, Policy("none"): 0.3}


def test_the_matrix_is_mirrored_and_signed() -> None:
    frame = augmentations.composition(FOUND).set_index(["first", "second"])
    assert augmentations.operations_of(FOUND) == ("crop", "colour_jitter")
    assert (
        frame.loc[("crop", "colour_jitter"), "large"] == frame.loc[("colour_jitter", "crop"), "large"] == "47"
    )
    assert frame.loc[("colour_jitter", "colour_jitter"), "small"] == "−2"
    assert frame.loc[("crop", "crop"), "gain"] == pytest.approx(0.12)


def test_operations_are_worth_what_is_lost_without_them() -> None:
    frame = augmentations.leave_one_out(FOUND)
    assert frame["text"].tolist() == ["+0.15", "−0.020"] and frame["tone"].tolist() == ["accent", "fewer"]
    assert augmentations.strengths(FOUND)["text"].tolist() == ["0.30", "0.45", "0.50"]
    assert augmentations.whole_policies(FOUND)["name"].tolist() == [
        "policy fruit",
        "policy SimCLR",
        "no augmentation",
    ]


def test_nothing_tried_leaves_nothing_to_draw() -> None:
    for draw in (augmentations.composition, augmentations.leave_one_out, augmentations.whole_policies):
        assert draw({Policy(): 0.3}).empty


# Methods


def test_protocols_are_means_over_seeds_and_never_transductive() -> None:
    table = runs(
        {"kind": "finetune", "method": "simclr", "seed": 0},
        {"kind": "finetune", "method": "simclr", "seed": 1},
        {"kind": "finetune", "method": "byol", "transductive": 1},
        {"kind": "probe", "method": "simclr", "seed": 0},
        {"kind": "probe", "method": "simclr", "seed": 1},
        {},
    )
    values = metrics(
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


def test_without_pairs_every_policy_is_a_bar() -> None:
    alone = {Policy(): 0.3, Policy("custom", ("flip",)): 0.4, Policy("fruit", strength=0.87): 0.35}
    assert not augmentations.paired(alone)
    assert augmentations.paired({Policy("custom", ("flip", "blur")): 0.5})
    bars = augmentations.ranked_policies(alone)
    assert bars["name"].tolist() == ["flip", "policy fruit, strength 0.87", "no augmentation"]
    assert bars["tone"].tolist() == ["accent", "reference", "reference"]


def test_a_lone_point_at_few_labels_is_named_beside_itself() -> None:
    rows = pd.DataFrame(
        [("simclr", 0.1, 0.4), ("supervised", 0.1, 0.3), ("supervised", 1.0, 0.5)],
        columns=["method", "fraction", "value"],
    ).assign(protocol="tuned", seeds=1, low=None, high=None, least=0.0, most=1.0)
    curves = methods.curve_rows(rows, "simclr", "tuned").set_index("label")["side"]
    assert curves["SimCLR"] == "right" and curves["baseline"] == "below"
    assert methods.shown_protocols(rows, 0.1) == ("tuned",)

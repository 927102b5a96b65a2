"""Rows of the page on sensors, and the price of dropping one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backend.store.queries.catalog import DatasetFacts, DefectFacts
from dashboard.evidence import losses
from dashboard.evidence.losses import Loss
from dashboard.evidence.prices import budget
from dashboard.frames import inputs

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


def test_the_final_runs_stand_for_all_sensors(run_rows) -> None:
    found = inputs.ablations(
        run_rows(
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


def test_a_full_set_of_the_ablation_itself_comes_first(run_rows) -> None:
    found = inputs.ablations(
        run_rows(
            {"modalities": '["rgb","nir"]', "purpose": "final"},
            {"modalities": '["rgb","nir"]'},
            {"modalities": '["nir"]'},
        ),
        FACTS,
    )
    assert found[0].runs[("rgb", "nir")] == ("r1",) and found[0].without("nir") is None


def test_a_run_on_one_sensor_leaves_nothing_out(run_rows) -> None:
    rows = run_rows({"purpose": "final"}, {"purpose": "final"})
    one = inputs.alone(rows)
    assert one is not None and (one.sensors, one.full, one.without("rgb")) == (("rgb",), "r1", None)
    assert inputs.alone(rows.head(0)) is None


def test_cells_are_means_over_seeds_in_hundredths(metric_rows) -> None:
    ablation = inputs.Ablation("x", ("rgb", "nir"), {("rgb", "nir"): ("a", "b"), ("rgb",): ("c",)}, "")
    frame = inputs.grid_rows(
        ablation,
        metric_rows(("a", "recall", "rot", 0.6, 0.5, 0.7), ("b", "recall", "rot", 0.8, 0.7, 0.9)),
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


@pytest.mark.parametrize(
    ("most", "said"),
    [
        (
            0.04,
            "NIR could be dropped: without it, no clear difference in how many defects are found (at most 4",
        ),
        (0.4, "Whether NIR could be dropped is not clear: without it, up to 40 more of 100 defects could be"),
    ],
)
def test_a_wide_interval_drops_no_sensor(most: float, said: str) -> None:
    loss = Loss("nir", "Without NIR …", "not distinguishable", 0.01, None, most)
    found = losses.said(SimpleNamespace(one_defect=None, multiclass=False), [loss])
    assert found.text.startswith(said) and found.verdict == "not distinguishable"


ANY = SimpleNamespace(one_defect=None, multiclass=False)
UNCLEAR_WITH = partial(Loss, text="", verdict="not distinguishable", size=0.0)


@pytest.mark.parametrize(
    ("loss", "starts"),
    [
        (
            UNCLEAR_WITH("nir", most=None),
            "NIR could be dropped: without it, no clear difference in the agree",
        ),
        (
            UNCLEAR_WITH("nir", most=None, fewer=(0.2, " (12 to 28)")),
            "Whether NIR could be dropped depends on prices: without it, 20 fewer of 100 defects are",
        ),
        (
            Loss("nir", "", "worse", -0.1, most=-0.05),
            "NIR should be dropped: without it, more defects are found",
        ),
        (
            Loss("nir", "", "worse", -0.1),
            "NIR should be dropped: without it, the agreement with the labels is",
        ),
        (
            Loss("nir", "", "worse", -0.1, fewer=(0.2, "")),
            "Whether NIR could be dropped depends on prices: without it, 20 fewer of 100 defects are",
        ),
    ],
    ids=["agreement", "found fewer", "found more", "agrees better", "agrees better, finds fewer"],
)
def test_no_sensor_is_dropped_for_what_its_test_does_not_say(loss: Loss, starts: str) -> None:
    assert losses.said(ANY, [loss]).text.startswith(starts)


def test_the_same_is_said_of_no_sensor_of_which_it_does_not_hold() -> None:
    surely, perhaps = UNCLEAR_WITH("nir", most=0.03), UNCLEAR_WITH("rgb", most=0.45)
    needed = Loss("pressure", "", "better", 0.3, most=0.4)
    found = losses.said(ANY, [perhaps, surely, needed])
    assert found.text.startswith("NIR could be dropped") and "(at most 3 fewer of 100)" in found.text
    assert "The same holds" not in found.detail and found.detail.endswith("Needed: pressure.")
    both = losses.said(ANY, [replace(perhaps, most=0.07), surely, needed])
    assert "(at most 7 fewer of 100)" in both.text
    assert both.detail == "The same holds for each of RGB and NIR, one at a time. Needed: pressure."


def test_classes_are_not_called_defects() -> None:
    loss = Loss("nir", "Without NIR …", "not distinguishable", 0.01, None, 0.4)
    found = losses.said(SimpleNamespace(one_defect=None, multiclass=True), [loss])
    assert "up to 40 more of 100 fruit of a class could be" in found.text


def test_pressure_alone_tells_what_no_picture_adds_to() -> None:
    rows = [
        ("shapley:pressure", "soft", 0.6, 0.5, 0.7),
        ("shapley:rgb", "soft", 0.01, -0.02, 0.04),
        ("shapley:pressure", "seen", 0.4, 0.3, 0.5),
        ("shapley:rgb", "seen", 0.2, 0.1, 0.3),
        ("shapley:pressure", "unsure", 0.4, 0.3, 0.5),
        ("shapley:rgb", "unsure", 0.1, -0.1, 0.3),
        ("shapley:pressure", "missed", 0.02, -0.1, 0.2),
        ("shapley:rgb", "missed", 0.0, -0.05, 0.05),
    ]
    names = ["metric", "defect", "value", "ci_low", "ci_high"]
    metrics = pd.DataFrame(rows, columns=names).assign(run_id="r")
    defects = ("soft", "seen", "unsure", "missed", "not measured")
    assert inputs.told_by_pressure(metrics, "r", ("rgb", "pressure"), defects) == ("soft",)
    assert inputs.told_by_pressure(metrics, "r", ("rgb",), defects) == ()

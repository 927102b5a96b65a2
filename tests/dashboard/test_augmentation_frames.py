"""Rows of the page on augmentations."""

from __future__ import annotations

import json

import pytest

from backend.training.plan import load_plan
from backend.training.settings import PretrainingStage
from dashboard.frames import augmentations
from dashboard.frames.augmentations import Policy


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


@pytest.mark.parametrize("chosen", [one for one in FOUND if not one.plain])
def test_a_plan_that_says_so_pretrains_with_that_policy(chosen, tmp_path) -> None:
    (tmp_path / "mine.toml").write_text(augmentations.plan_lines(chosen))
    plan = load_plan(str(tmp_path / "mine.toml")).pretraining
    assert plan == PretrainingStage(
        policy="" if chosen.policy == "custom" else chosen.policy,
        operations=chosen.operations,
        without=chosen.without,
        strength=chosen.strength,
    )


def test_scores_are_those_of_the_ranking_seed(run_rows, metric_rows) -> None:
    table = run_rows(
        {"kind": "probe", "seed": 7, "augment": policy()},
        {"kind": "pretrain", "seed": 7, "augment": policy()},
        {"kind": "probe", "seed": 7, "augment": policy(policy="none")},
        {"kind": "pretrain", "seed": 0, "augment": policy()},
        {"kind": "finetune", "seed": 7, "augment": policy()},
    )
    values = metric_rows(
        *((f"r{i}", "inner_mcc", None, v, None, None) for i, v in enumerate((0.4, 0.6, 0.3, 0.9, 0.9)))
    )
    assert augmentations.scores(table, values, "inner_mcc") == {Policy("fruit"): 0.5, Policy("none"): 0.3}


def test_where_all_policies_were_confirmed_the_ranking_is_still_the_ranking(run_rows, metric_rows) -> None:
    """Its seed is above those of the confirmations, under which as many policies were tried."""
    kinds = [("pretrain", 0), ("pretrain", 1), ("probe", 2)]
    table = run_rows(
        *(
            {"kind": kind, "seed": seed, "augment": json.dumps({"policy": policy})}
            for kind, seed in kinds
            for policy in ("none", "fruit")
        )
    )
    values = metric_rows(
        *((f"r{i}", "inner_mcc", None, 0.1 * i, None, None) for i in range(4)),
        ("r4", "probe_inner_mcc", None, 0.2, None, None),
        ("r5", "probe_inner_mcc", None, 0.3, None, None),
    )
    assert augmentations.scores(table, values, "inner_mcc") == {}
    ranked = augmentations.scores(table, values, "probe_inner_mcc")
    assert ranked == {Policy("none"): 0.2, Policy("fruit"): 0.3}
    assert augmentations.scores(table.head(0), values, "inner_mcc") == {}


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


def test_without_pairs_every_policy_is_a_bar() -> None:
    alone = {Policy(): 0.3, Policy("custom", ("flip",)): 0.4, Policy("fruit", strength=0.87): 0.35}
    assert not augmentations.paired(alone)
    assert augmentations.paired({Policy("custom", ("flip", "blur")): 0.5})
    bars = augmentations.ranked_policies(alone)
    assert bars["name"].tolist() == ["flip", "policy fruit, strength 0.87", "no augmentation"]
    assert bars["tone"].tolist() == ["accent", "reference", "reference"]

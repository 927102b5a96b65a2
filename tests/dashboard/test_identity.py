"""The command that goes on with a study names what makes it that study."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from backend.training.budget import parse_duration
from backend.training.plan import load_plan
from backend.tune import parser
from dashboard.identity import identity_options


def content(words: list[str], *, scaled: bool = False) -> dict:
    """What ``tune`` stores of a study that was started with these words."""
    options = parser().parse_args(words)
    plan = load_plan(options.plan).narrowed(
        modalities=options.modalities, methods=options.methods, trials=options.trials
    )
    stored = {"plan": asdict(plan), "seed": options.seed}
    if options.budget:
        stored["budget"] = {"seconds": parse_duration(options.budget, "--budget")}
    if scaled:
        smaller = replace(plan, baseline=replace(plan.baseline, trials=1))
        stored |= {"asked": stored["plan"], "plan": asdict(smaller)}
    return json.loads(json.dumps(stored))


@pytest.mark.parametrize(
    "words",
    [
        ["--plan", "quick"],
        ["--plan", "overnight", "--budget", "8h"],
        ["--plan", "overnight", "--seed", "7", "--budget", "90m"],
        ["--plan", "overnight", "--modalities", "rgb,nir", "--methods", "moco,byol", "--trials", "3"],
        ["--plan", "quick", "--budget", "12.5s"],
    ],
)
@pytest.mark.parametrize("scaled", [False, True])
def test_the_command_finds_the_same_study(words: list[str], scaled: bool) -> None:
    before = content(words, scaled=scaled)
    again = content(identity_options(before))
    assert again["plan"] == before.get("asked", before["plan"])
    assert again["seed"] == before["seed"] and again.get("budget") == before.get("budget")


def test_only_what_was_given_is_repeated() -> None:
    assert identity_options(content(["--plan", "quick"])) == ["--plan", "quick"]
    assert identity_options(content(["--plan", "quick", "--budget", "8h"])) == [
        *("--plan", "quick"),
        *("--budget", "8h"),
    ]


@pytest.mark.parametrize("stored", [{}, {"plan": "quick"}, {"plan": {"name": "mine"}, "budget": None}])
def test_a_plan_of_another_time_still_gives_a_command(stored: dict) -> None:
    assert identity_options(stored) in ([], ["--plan", "mine"])

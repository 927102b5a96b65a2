"""The command that goes on with a study names what makes it that study."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from backend.training.budget import parse_duration
from backend.training.plan import load_plan
from backend.tune import identity_words, parser
from dashboard.identity import identity_options

PLAN = """
name = "ours"
[baseline]
trials = 4
[pretraining]
methods = ["simclr", "byol"]
"""


def content(words: list[str], *, scaled: bool = False) -> dict:
    """What ``tune`` stores of a study that was started with these words, but for the words."""
    options = parser().parse_args(words)
    plan = load_plan(options.plan).narrowed(
        modalities=options.modalities,
        methods=options.methods,
        trials=options.trials,
        devices=options.devices,
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


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--plan", "overnight", "--seed", "7", "--budget", "90m"],
        ["--plan", "overnight", "--modalities", "rgb,nir", "--methods", "moco,byol", "--trials", "3"],
        ["--plan", "quick", "--devices", "2", "--budget", "12.5s", "--workers", "3", "--json"],
        ["--plan", "own.toml"],
        ["--plan", "./own.toml", "--methods", "moco", "--trials", "1"],
    ],
)
def test_the_stored_words_find_the_same_study_from_any_folder(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.toml").write_text(PLAN)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    before = content(words)
    again = identity_options({"words": list(identity_words(parser().parse_args(words)))})
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert content(again) == before
    assert not {"--workers", "--json"} & set(again)

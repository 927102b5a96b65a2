"""The command that goes on with a study names what makes it that study."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

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


def identity(words: list[str]) -> tuple[object, ...]:
    """What a study's id is made of, but for the data."""
    options = parser().parse_args(words)
    plan = load_plan(options.plan).narrowed(
        modalities=options.modalities,
        methods=options.methods,
        trials=options.trials,
        devices=options.devices,
    )
    return asdict(plan), options.seed, options.budget


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--plan", "quick"],
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
    before = identity(words)
    stored = json.loads(json.dumps({"words": identity_words(parser().parse_args(words))}))
    again = identity_options(stored)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert identity(again) == before
    assert not {"--workers", "--json"} & set(again)


def test_only_what_was_given_is_repeated() -> None:
    assert identity_words(parser().parse_args(["--plan", "quick"])) == ("--plan", "quick")


@pytest.mark.parametrize(
    ("stored", "options"),
    [
        ({}, []),
        ({"plan": "quick", "words": "--plan quick"}, []),
        ({"plan": {"name": "mine"}, "budget": None, "words": []}, ["--plan", "mine"]),
        (
            {"plan": {"name": "overnight"}, "seed": 7, "budget": {"seconds": 5400.0}},
            ["--plan", "overnight", "--seed", "7", "--budget", "90m"],
        ),
        ({"plan": {"name": "quick"}, "budget": {"seconds": 12.5}}, ["--plan", "quick", "--budget", "12.5s"]),
    ],
)
def test_a_study_without_words_still_gives_a_command(stored: dict, options: list[str]) -> None:
    assert identity_options(stored) == options

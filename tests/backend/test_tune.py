"""The command as its users type it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from backend.cli import run_command
from backend.tune import main

METHODS = {
    "joint embedding": "simclr moco byol simsiam barlow_twins vicreg dino",
    "pretext": "rotation jigsaw context inpainting colourisation exemplar channel_randomisation",
    "metric": "drlim cosine_pairs triplet supcon debiased",
    "reference": "random_init imagenet supervised",
}
PLAN = """
folds = 2
resolution = 16
[baseline]
trials = 1
generation = 1
tune_epochs = 1
epochs = {epochs}
patience = 0
min_steps = 0
"""


def command(folder: Path, out: Path, *more: str, epochs: int = 1) -> list[str]:
    plan = out / "small.toml"
    plan.write_text(PLAN.format(epochs=epochs))
    arguments = ["--plan", str(plan), "--dataset", str(folder), "--store", str(out / "store.db")]
    return [*arguments, "--device", "cpu", "--quiet", *more]


def run(arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "backend.tune", *arguments]
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, check=False, timeout=280)


@pytest.mark.slow
def test_it_ends_with_0_and_says_what_to_open(multiclass_folder, tmp_path):
    result = run(command(multiclass_folder, tmp_path, "--workers", "1"), tmp_path)
    assert result.returncode == 0, result.stderr
    assert "2 complete" in result.stdout
    assert "streamlit run dashboard/app.py" in result.stdout
    assert (tmp_path / "artifacts").is_dir()


def test_json_is_the_only_thing_on_stdout(multiclass_folder, tmp_path, capsys):
    assert main(command(multiclass_folder, tmp_path, "--workers", "0", "--json")) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["status"] == "complete"
    assert summary["runs"] == {"complete": 2}
    assert summary["failed"] == []


def test_the_words_in_the_store_find_the_study_from_another_folder(
    multiclass_folder, tmp_path, monkeypatch, capsys
):
    _, _, *where = command(multiclass_folder, tmp_path, "--workers", "0", "--json")
    monkeypatch.chdir(tmp_path)
    assert main(["--plan", "small.toml", "--trials", "2", "--seed", "3", *where]) == 0
    first = json.loads(capsys.readouterr().out)["study_id"]
    with closing(sqlite3.connect(tmp_path / "store.db")) as store:
        [(stored,)] = store.execute("SELECT plan FROM study").fetchall()
    monkeypatch.chdir("/")
    assert main([*json.loads(stored)["words"], *where]) == 0
    assert json.loads(capsys.readouterr().out)["study_id"] == first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--plan", "hurried"], ["'hurried'", "overnight", "quick"]),
        (["--trials", "0"], ["--trials", "1 or more"]),
        (["--workers", "-1"], ["--workers"]),
    ],
)
def test_unusable_input_is_one_line_and_exit_code_2(tmp_path, arguments, words):
    result = run(arguments, tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert result.stderr.startswith("error: ")
    for word in words:
        assert word in result.stderr


@pytest.fixture(
    params=[
        pytest.param(signal.SIGINT, id="ctrl-c"),
        pytest.param(signal.SIGTERM, id="sigterm", marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, id="hangup", marks=pytest.mark.slow),
    ]
)
def number(request):
    """A signal that children heed: a shell's job in the background ignores Ctrl-C, and so would they."""
    before = signal.signal(request.param, signal.default_int_handler)
    yield request.param
    signal.signal(request.param, before)


@pytest.mark.slow
def test_a_stop_keeps_what_is_finished(multiclass_folder, tmp_path, number):
    arguments = command(multiclass_folder, tmp_path, "--workers", "1", epochs=4000)
    with subprocess.Popen(
        [sys.executable, "-m", "backend.tune", *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        assert _wait_for(tmp_path / "store.db", "SELECT COUNT(*) FROM run WHERE status = 'running'", 1)
        assert _wait_for(tmp_path / "store.db", "SELECT COUNT(*) FROM run WHERE status = 'complete'", 1)
        time.sleep(1)
        os.kill(process.pid, number)
        time.sleep(0.3)
        os.kill(process.pid, number)  # whoever waits is impatient
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert "kept" in process.stderr.read()
    rows = _query(tmp_path / "store.db", "SELECT status, COUNT(*) FROM run GROUP BY 1 ORDER BY 1")
    assert rows == [("complete", 1), ("interrupted", 1)]
    assert _query(tmp_path / "store.db", "SELECT status FROM study") == [("interrupted",)]


def _query(store: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(sql).fetchall()


def _wait_for(store: Path, sql: str, least: int, seconds: float = 120) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if _query(store, sql)[0][0] >= least:
                return True
        except sqlite3.Error:
            pass
        time.sleep(0.1)
    return False


def test_the_list_names_everything_that_can_be_chosen(capsys):
    assert main(["--list", "--json"]) == 0
    catalogue = json.loads(capsys.readouterr().out)
    assert {"quick", "overnight"} <= set(catalogue["plans"])
    assert "resnet18" in catalogue["backbones"]
    assert "simclr" in catalogue["methods, joint embedding"]
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    for family, promised in METHODS.items():
        assert set(promised.split()) <= set(catalogue[f"methods, {family}"])
        section = printed.partition(f"methods, {family}:\n")[2].partition(":\n")[0]
        assert {line.split()[0] for line in section.splitlines() if line.startswith("  ")} >= set(
            promised.split()
        )
    assert all(description for entries in catalogue.values() for description in entries.values())


def test_a_dry_run_says_what_would_run_and_makes_no_store(multiclass_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("backend.training.calibration.MEASURE_SECONDS", 0.01)
    arguments = command(multiclass_folder, tmp_path, "--workers", "0", "--dry-run")
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "baseline: finals" in printed
    assert "1 x 2 folds" in printed
    assert "expected: " in printed
    assert not (tmp_path / "store.db").exists()
    assert main([*arguments, "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    assert [work["what"] for work in expected["works"]] == ["trials, resnet10_half", "finals"]
    assert expected["seconds"] > 0
    assert expected["cuts"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budget", "soon"], ["--budget", "8h"]),
        (["--budget", "0h"], ["--budget", "8h"]),
        (["--budget", "8"], ["--budget", "with its unit"]),
        (["--timeout", "-1h"], ["--timeout"]),
        (["--methods", ","], ["--methods", "names separated by commas"]),
        (["--gpu-share", "0"], ["--gpu-share"]),
        (["--seed", "4294967296"], ["--seed", "0 to 4294967295"]),
        (["--storage", "nosuch://host/db"], ["--storage"]),
        (["--dataset", "nowhere"], ["nowhere", "manifest.csv"]),
    ],
)
def test_what_is_found_out_later_is_one_line_too(multiclass_folder, tmp_path, arguments, words, capsys):
    assert run_command(main, command(multiclass_folder, tmp_path, "--workers", "0", *arguments)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.strip().splitlines()) == 1
    for word in words:
        assert word in printed.err


def test_help_is_immediate_and_loads_nothing_heavy():
    code = (
        "import sys\nfrom backend.tune import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'optuna', 'ray') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
    for option in ("--budget", "--dry-run", "--cluster", "--storage", "--events"):
        assert option in result.stdout

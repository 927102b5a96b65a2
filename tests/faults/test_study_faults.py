"""What must not hurt a study: kill -9 of the driver or a worker, a full or read-only disk, a clock set back.

The long version: ``make test-faults`` (25 kills). Each start of the command imports torch, so these are slow.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backend.training.plan import Plan
from backend.training.settings import BaselineStage, DataReportStage
from backend.training.study import StudyOptions, run_study

KILLS = int(os.environ.get("AVOCADO_KILLS", "3"))
BASELINE = """
folds = 2
resolution = 16
[baseline]
trials = 2
generation = 2
tune_folds = 2
tune_epochs = 2
epochs = 3
patience = 0
min_steps = 30
"""
PRETRAINING = """
[pretraining]
methods = ["simclr"]
epochs = 6
batch_size = 16
fractions = [1.0]
min_steps = 30
trials = 2
generation = 2
tune_epochs = 4
"""
NUMBERS = {
    "prediction": "SELECT run_id, fold, fruit_id, defect, y_true, score, y_pred FROM prediction",
    "metric": "SELECT run_id, fold, defect, metric, value, ci_low, ci_high FROM metric",
    "curve": "SELECT run_id, fold, epoch, split, metric, value FROM curve",
    "run": "SELECT run_id, name, status, error FROM run",
    "fold": "SELECT run_id, fold FROM run_fold",
    "comparison": "SELECT run_id_a, run_id_b, defect, metric, delta, p_value FROM comparison",
    # A card says when a study ran, so that two studies never have the same.
    "artifact": "SELECT run_id, name, sha256 FROM artifact WHERE name <> 'model_card.md'",
}


def query(store, sql):
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(sql).fetchall()


def tables(store):
    """Everything that a study found out, after an integrity check."""
    assert query(store, "PRAGMA integrity_check") == [("ok",)]
    assert query(store, "PRAGMA foreign_key_check") == []
    return {name: sorted(map(repr, query(store, sql))) for name, sql in NUMBERS.items()}


def command(folder, out, *more, plan_text=BASELINE):
    out.mkdir(exist_ok=True)
    plan = out.parent / "plan.toml"
    plan.write_text(plan_text)
    arguments = [
        "--plan",
        plan,
        "--dataset",
        folder,
        "--store",
        out / "store.db",
        "--device",
        "cpu",
        "--quiet",
    ]
    return [sys.executable, "-m", "backend.tune", *map(str, [*arguments, *more])]


def environment(cache):
    return {**os.environ, "AVOCADO_CACHE": str(cache)}


def run_undisturbed(folder, out, plan_text):
    line = command(folder, out, "--workers", "1", plan_text=plan_text)
    subprocess.run(line, check=True, env=environment(out.parent / "cache"), capture_output=True, timeout=280)
    return out / "store.db", out.parent / "cache"


@pytest.fixture(scope="module")
def undisturbed(multilabel_folder, tmp_path_factory):
    return run_undisturbed(multilabel_folder, tmp_path_factory.mktemp("undisturbed") / "out", BASELINE)


def folds_done(store):
    try:
        return query(store, "SELECT COUNT(*) FROM run_fold")[0][0]
    except sqlite3.Error:
        return 0


def children(pid):
    """The processes that ``pid`` has started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_kill_9_of_the_driver_or_a_worker_changes_no_number(multilabel_folder, tmp_path):
    whole = BASELINE + PRETRAINING
    reference, cache = run_undisturbed(multilabel_folder, tmp_path / "undisturbed", whole)
    rng = random.Random(25)
    out = tmp_path / "out"
    store = out / "store.db"
    line = command(multilabel_folder, out, "--workers", "2", plan_text=whole)
    known: set[tuple] = set()
    kills = 0
    for _ in range(3 * KILLS + 3):
        driver = subprocess.Popen(line, env=environment(cache), stderr=subprocess.PIPE, text=True)
        if kills < KILLS:
            wanted = folds_done(store) + rng.randint(0, 1)
            deadline = time.monotonic() + rng.uniform(4, 30)
            while driver.poll() is None and time.monotonic() < deadline and folds_done(store) < wanted:
                time.sleep(0.02)
            time.sleep(rng.random())
            kills += strike(driver, rng)
        _, err = driver.communicate(timeout=280)
        assert "Traceback" not in err, err
        if store.exists() and folds_done(store):
            assert query(store, "PRAGMA integrity_check") == [("ok",)]
            folds = set(query(store, "SELECT run_id, fold FROM run_fold"))
            assert known <= folds, "a finished fold was lost"
            known = folds
        if driver.returncode == 0:
            break
    assert driver.returncode == 0
    assert kills
    assert tables(store) == tables(reference)
    assert not list((out / "checkpoints").rglob("*.safetensors"))


def strike(driver, rng):
    """Kill the driver or one of its workers; says whether anything was left to kill."""
    if driver.poll() is not None:
        return 0
    workers = [] if rng.random() < 0.5 else children(driver.pid)
    victim = rng.choice(workers) if workers else driver.pid
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


@pytest.mark.slow
def test_a_second_driver_is_refused_and_the_first_goes_on(multilabel_folder, tmp_path, undisturbed):
    _, cache = undisturbed
    line = command(multilabel_folder, tmp_path / "out", "--workers", "1")
    first = subprocess.Popen(line, env=environment(cache), stderr=subprocess.DEVNULL)
    store = tmp_path / "out" / "store.db"
    try:
        deadline = time.monotonic() + 120
        while not folds_done(store) and time.monotonic() < deadline:
            time.sleep(0.05)
        second = subprocess.run(
            line, env=environment(cache), capture_output=True, text=True, timeout=120, check=False
        )
        assert second.returncode == 2
        assert second.stderr.startswith("error: ")
        assert f"process {first.pid}" in second.stderr
        assert len(second.stderr.splitlines()) == 1
        assert query(store, "SELECT status FROM study") == [("running",)]
    finally:
        first.kill()
        first.wait()
    # Whatever it was doing when it was killed is no zombie for the next one.
    assert subprocess.run(line, env=environment(cache), capture_output=True, check=False).returncode == 0
    assert {row[0] for row in query(store, "SELECT status FROM run")} == {"complete"}


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_with_room_the_same_command_goes_on(
    multilabel_folder, tmp_path, undisturbed, small_disk
):
    reference, cache = undisturbed
    disk = tmp_path / "disk"
    line = " ".join(command(multilabel_folder, disk, "--workers", "1"))
    disk.rmdir()
    again = f"mount -o remount,size=200m {disk} && {line} && cp {disk}/store.db* {tmp_path}"
    done = small_disk(disk, "700k", f"{line}; echo first $?; {again}", env=environment(cache))
    assert "first 2" in done.stdout, done.stderr
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    errors = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert len(errors) == 1
    assert "full" in errors[0] or "space" in errors[0]
    assert tables(tmp_path / "store.db") == tables(reference)


@pytest.mark.slow
def test_a_read_only_store_is_refused_in_one_line(multilabel_folder, tmp_path, undisturbed, small_disk):
    reference, cache = undisturbed
    disk = tmp_path / "disk"
    line = " ".join(command(multilabel_folder, disk, "--workers", "1"))
    disk.rmdir()
    script = f"cp {reference} {disk} && mount -o remount,ro {disk} && {line}"
    done = small_disk(disk, "50m", script, env=environment(cache))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


SMALL = Plan(
    name="small",
    folds=2,
    resolution=16,
    baseline=BaselineStage(trials=2, generation=1, tune_epochs=1, epochs=1, min_steps=0),
)


def test_a_clock_set_back_does_not_confuse_a_study(multiclass_folder, tmp_path, monkeypatch):
    """Interrupted today, resumed yesterday: the numbers and the states are those of any other study."""
    from backend.store.writer import RunStore

    def options(folder):
        return StudyOptions(
            multiclass_folder, tmp_path / folder / "store.db", tmp_path / "cache", 0, "cpu", quiet=True
        )

    run_study(SMALL, options("plain"))
    original = RunStore.write_fold

    def stop_after_two(self, run_id, bundle):
        original(self, run_id, bundle)
        if len(self.rows("SELECT 1 FROM run_fold")) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunStore, "write_fold", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        run_study(SMALL, options("turned"))
    monkeypatch.setattr(RunStore, "write_fold", original)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="microseconds")
    monkeypatch.setattr("backend.store.writer.utc_now", lambda: yesterday)
    summary = run_study(SMALL, options("turned"))
    assert summary["status"] == "complete"
    assert tables(options("turned").store) == tables(options("plain").store)
    assert query(options("turned").store, "SELECT status FROM study") == [("complete",)]


@pytest.fixture
def dead_screen(monkeypatch):
    """Standard error that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    screen = os.fdopen(writer, "w", buffering=1)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", screen)
        yield
    with suppress(BrokenPipeError):
        screen.close()


def test_a_report_that_fails_is_said_at_the_end_and_tried_again_and_a_dead_screen_stops_nothing(
    multiclass_folder, tmp_path, monkeypatch, dead_screen
):
    loud = StudyOptions(multiclass_folder, tmp_path / "store.db", tmp_path / "cache", 0, "cpu", events=True)
    plan = replace(SMALL, data_report=DataReportStage(enabled=True))

    def stumble(self):
        raise ZeroDivisionError("no sensor at all")

    with monkeypatch.context() as patch:
        patch.setattr("backend.training.stages.reporting.DataReport.sensors", stumble)
        summary = run_study(plan, loud)
    assert (summary["status"], set(summary["runs"])) == ("complete", {"complete"})
    reason = "ZeroDivisionError: no sensor at all"
    assert summary["failed"] == [{"run_id": None, "name": "sensors and drift", "error": reason}]
    assert run_study(plan, replace(loud, events=False))["failed"] == []


def test_log_and_events_say_what_happened(multiclass_folder, tmp_path, capfd):
    options = StudyOptions(
        multiclass_folder, tmp_path / "store.db", tmp_path / "cache", 0, "cpu", quiet=True, events=True
    )
    summary = run_study(SMALL, options)
    lines = Path(summary["log"]).read_text().splitlines()
    assert Path(summary["log"]) == tmp_path / "logs" / f"{summary['study_id']}.log"
    assert sum("fold of baseline" in line for line in lines) == 4
    assert any("stage baseline" in line for line in lines)
    assert "complete after" in lines[-1]
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    folds = [event for event in events if event["event"] == "fold" and event["run"].startswith("baseline")]
    assert len(folds) == 4
    assert all(event["seconds"] > 0 for event in folds)
    assert events[-1]["done"] == events[-1]["total"]

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from backend.errors import DataError, TrainingError, describe_failure
from backend.store.bundle import CurvePoint, FoldBundle
from backend.training.executor import InProcessExecutor, Outcome, TimeLimit, run_safely
from backend.training.pool import PoolExecutor
from backend.training.task import FoldTask, TrainingStoppedError


@pytest.fixture
def behave(monkeypatch):
    """A function that workers can import."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("fake_work").behave


def tasks(small_run, *actions):
    return [FoldTask(action, small_run(label=action), i, 0) for i, action in enumerate(actions)]


def test_in_process_keeps_going_after_a_fault(small_run, behave):
    outcomes = list(InProcessExecutor("shared", behave).run(tasks(small_run, "ok", "raise", "refuse", "ok")))
    assert [o.bundle is not None for o in outcomes] == [True, False, False, True]
    assert "a defect of ours" in outcomes[1].error
    assert outcomes[2].error == "here: no fruit"


def test_a_reason_is_one_line_where_the_user_can_mend_it():
    assert describe_failure(DataError("x", where="y")) == "y: x"
    with pytest.raises(ZeroDivisionError) as caught:
        raise ZeroDivisionError("z,\nsaid in two lines")
    reason = describe_failure(caught.value)
    assert reason.splitlines()[0] == "ZeroDivisionError: z, said in two lines"
    assert "Traceback" in reason


@pytest.mark.slow
def test_workers_are_reused_and_survive_each_others_death(small_run, behave):
    pool = PoolExecutor("shared", workers=2, limit=TimeLimit(5), function=behave)
    try:
        actions = ("ok", "die", "ok", "raise", "hang", "ok", "ok", "ok")
        outcomes = {o.task.fold: o for o in pool.run(tasks(small_run, *actions)) if o is not None}
        assert sorted(outcomes) == list(range(8))
        finished = [o for o in outcomes.values() if o.bundle is not None]
        assert {o.task.config.label for o in finished} == {"ok"}
        assert len(finished) == 5
        assert "SIGKILL" in outcomes[1].error
        assert "out of memory" in outcomes[1].error
        assert "a defect of ours" in outcomes[3].error
        assert "no end after 5 s" in outcomes[4].error
        notes = [dict(o.bundle.notes) for o in finished]
        assert {note["context"] for note in notes} == {"shared"}
        assert len({note["pid"] for note in notes}) <= 5  # two workers and three replacements
        again = [o for o in pool.run(tasks(small_run, "ok")) if o is not None]
        assert again[0].bundle is not None
    finally:
        pool.close()


def test_a_worker_that_is_still_at_it_is_reported(small_run, behave, monkeypatch):
    monkeypatch.setattr("backend.training.pool.TICK_SECONDS", 0.05)
    pool = PoolExecutor("shared", workers=1, limit=TimeLimit(2), function=behave)
    try:
        assert None in list(pool.run(tasks(small_run, "hang")))
    finally:
        pool.close()


class CutShort:
    """A pipe whose first message breaks off, as when its sender is killed while it sends."""

    def __init__(self, pipe):
        self._pipe, self._cut = pipe, False

    def __getattr__(self, name):
        return getattr(self._pipe, name)

    def recv(self):
        if not self._cut:
            self._cut = True
            raise OSError("got end of file during message")
        return self._pipe.recv()


def test_a_bundle_that_breaks_off_costs_one_more_try(small_run, behave, monkeypatch):
    original = PoolExecutor._start
    started = []

    def start(self):
        worker = original(self)
        if not started:
            worker.pipe = CutShort(worker.pipe)
            worker.process.kill()
        started.append(worker)
        return worker

    monkeypatch.setattr(PoolExecutor, "_start", start)
    pool = PoolExecutor("shared", workers=1, function=behave)
    try:
        (outcome,) = [o for o in pool.run(tasks(small_run, "ok")) if o is not None]
    finally:
        pool.close()
    assert outcome.bundle is not None and len(started) == 2


def test_what_is_given_up_does_not_come_back(small_run, behave, monkeypatch):
    monkeypatch.setattr("backend.training.pool.TICK_SECONDS", 0.05)
    pool = PoolExecutor("shared", workers=2, function=behave)
    try:
        outcomes = pool.run(tasks(small_run, "ok", "hang", "hang", "ok"))
        first = next(outcome for outcome in outcomes if outcome is not None)
        assert first.task.fold == 0
        outcomes.close()
        again = [o for o in pool.run(tasks(small_run, "refuse", "ok")) if o is not None]
        assert {o.task.config.label for o in again} == {"refuse", "ok"}
        assert len(again) == 2
    finally:
        pool.close()


def test_a_task_whose_worker_is_killed_once_is_done_by_another(small_run, behave, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_WORK_FOLDER", str(tmp_path))
    pool = PoolExecutor("shared", workers=1, function=behave)
    try:
        outcomes = [o for o in pool.run(tasks(small_run, "die-once", "ok")) if o is not None]
        assert len(outcomes) == 2
        assert all(o.bundle is not None for o in outcomes)
    finally:
        pool.close()


def test_what_a_failed_task_printed_is_kept_with_its_reason(small_run, behave):
    pool = PoolExecutor("shared", workers=1, function=behave)
    try:
        outcomes = [o for o in pool.run(tasks(small_run, "complain", "raise", "segfault")) if o is not None]
    finally:
        pool.close()
    assert "the sensor is cold" in outcomes[0].error
    assert "the sensor is cold" not in outcomes[1].error
    assert "SIGSEGV" in outcomes[2].error


def test_a_training_that_stops_brings_its_curves(small_run):
    curves = (CurvePoint(1, "train", "loss", 0.5),)

    def collapse(task, context):
        raise TrainingStoppedError(TrainingError("collapsed in epoch 1"), curves)

    outcome = run_safely(collapse, tasks(small_run, "ok")[0], None)
    assert (outcome.bundle, outcome.error, outcome.curves) == (None, "collapsed in epoch 1", curves)


def test_the_limit_of_a_fold_follows_the_longest_so_far(small_run):
    task = tasks(small_run, "ok")[0]
    assert TimeLimit(7).seconds(task) == 7
    limit = TimeLimit()
    assert limit.seconds(task) == TimeLimit.FIRST
    limit.learn(Outcome(task, FoldBundle(0, seconds=1.0)))
    assert limit.seconds(task) == TimeLimit.SHORTEST
    limit.learn(Outcome(task, FoldBundle(0, seconds=1000.0)))
    limit.learn(Outcome(task, None, "failed"))
    assert limit.seconds(task) == TimeLimit.FACTOR * 1000


def test_a_fold_whose_cost_was_measured_does_not_hang_half_a_day(small_run):
    task = tasks(small_run, "ok")[0]
    limit = TimeLimit()
    limit.expected = lambda config: 100.0
    assert limit.seconds(task) == TimeLimit.FACTOR * 100
    limit.learn(Outcome(task, FoldBundle(0, seconds=200.0)))
    assert limit.seconds(task) == TimeLimit.FACTOR * 200
    assert limit.seconds(replace(task, measure=True)) == TimeLimit.MEASUREMENT
    assert TimeLimit(7).seconds(replace(task, measure=True)) == 7


def test_a_final_run_has_as_much_more_time_as_it_has_more_epochs_than_the_trials(small_run):
    """Eight epochs of a trial in a minute: 400 epochs take 50 minutes and are not hung after 20."""
    trial, final = (FoldTask("run", small_run(epochs=epochs), 0, 0) for epochs in (8, 400))
    limit = TimeLimit()
    limit.learn(Outcome(trial, FoldBundle(0, seconds=60.0)))
    assert limit.seconds(trial) == TimeLimit.FACTOR * 60
    assert limit.seconds(final) == TimeLimit.FACTOR * 50 * 60
    limit.learn(Outcome(final, FoldBundle(0, seconds=3000.0)))
    assert limit.seconds(trial) == TimeLimit.FACTOR * 3000

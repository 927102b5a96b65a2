import os
import signal
import time

from backend.errors import DataError
from backend.store.bundle import FoldBundle
from backend.training.executor import InProcessExecutor, describe_failure
from backend.training.pool import PoolExecutor
from backend.training.task import FoldTask


def behave(task, context):
    """Stands in for training: what a task does is its label."""
    action = task.config.label
    if action == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "hang":
        time.sleep(60)
    if action == "raise":
        raise ZeroDivisionError("a defect of ours")
    if action == "refuse":
        raise DataError("no fruit", where="here")
    return FoldBundle(fold=task.fold, seconds=0.0, notes=(("pid", str(os.getpid())), ("context", context)))


def tasks(small_run, *actions):
    return [FoldTask(action, small_run(label=action), i, 0) for i, action in enumerate(actions)]


def test_in_process_keeps_going_after_a_fault(small_run):
    outcomes = list(InProcessExecutor("shared", behave).run(tasks(small_run, "ok", "raise", "refuse", "ok")))
    assert [o.bundle is not None for o in outcomes] == [True, False, False, True]
    assert "a defect of ours" in outcomes[1].error
    assert outcomes[2].error == "here: no fruit"


def test_a_reason_is_one_line_where_the_user_can_mend_it():
    assert describe_failure(DataError("x", where="y")) == "y: x"
    assert "ZeroDivisionError" in describe_failure(ZeroDivisionError("z"))


def test_workers_are_reused_and_survive_each_others_death(small_run):
    pool = PoolExecutor("shared", workers=2, timeout=5, function=behave)
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
        assert len({note["pid"] for note in notes}) <= 4  # two workers and two replacements
        again = [o for o in pool.run(tasks(small_run, "ok")) if o is not None]
        assert again[0].bundle is not None
    finally:
        pool.close()


def test_a_worker_that_is_still_at_it_is_reported(small_run, monkeypatch):
    monkeypatch.setattr("backend.training.pool.TICK_SECONDS", 0.05)
    pool = PoolExecutor("shared", workers=1, timeout=2, function=behave)
    try:
        assert None in list(pool.run(tasks(small_run, "hang")))
    finally:
        pool.close()

import importlib
from pathlib import Path

import pytest

from backend.errors import DataError
from backend.training.executor import InProcessExecutor, describe_failure
from backend.training.pool import PoolExecutor
from backend.training.task import FoldTask


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
    assert "ZeroDivisionError" in describe_failure(ZeroDivisionError("z"))


def test_workers_are_reused_and_survive_each_others_death(small_run, behave):
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


def test_a_worker_that_is_still_at_it_is_reported(small_run, behave, monkeypatch):
    monkeypatch.setattr("backend.training.pool.TICK_SECONDS", 0.05)
    pool = PoolExecutor("shared", workers=1, timeout=2, function=behave)
    try:
        assert None in list(pool.run(tasks(small_run, "hang")))
    finally:
        pool.close()

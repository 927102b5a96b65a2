"""How a run ends: by its lowest fold that stops, whatever the order of folds and whenever the driver dies."""

import itertools
import sqlite3
from contextlib import closing, suppress

import pytest

from backend.errors import AvocadoError
from backend.store.bundle import CurvePoint, FoldBundle, MetricValue
from backend.store.rows import StudyRow
from backend.store.writer import RunStore
from backend.training.driver import NO_TIME, Driver
from backend.training.executor import Outcome
from backend.training.progress import StudyProgress

SCORES = (0.5, 0.25)


class Script:
    """Ends folds as told, in the order told; without an order as one worker does."""

    workers = 1

    def __init__(self, ends, order=None):
        self.ends, self.order, self.handed_out = ends, order, []

    def run(self, tasks):
        if self.order is not None:
            tasks = sorted(tasks, key=lambda task: self.order.index(task.fold))
        for task in tasks:
            self.handed_out.append(task.fold)
            yield self.outcome(task)

    def outcome(self, task):
        end = self.ends[task.fold]
        curves = (CurvePoint(1, "validation", "mcc", SCORES[task.fold]),)
        if end == "fails":
            return Outcome(task, None, "the loss became nan", curves)
        bundle = FoldBundle(
            fold=task.fold,
            seconds=1.0,
            metrics=(MetricValue("inner_mcc", SCORES[task.fold]), MetricValue("inner_mcc_error", 0.1)),
            curves=curves,
            pruned="behind" if end == "pruned" else "",
        )
        return Outcome(task, bundle)


@pytest.fixture
def drive(multilabel_context, small_run, tmp_path):
    """``drive(ends, order)``: a trial of two folds; its result, its status, why, and the folds handed out.

    With ``time_for``, so many folds may start.
    """

    def run(ends, order=None, name="store", labels=("",), time_for=2):
        script = Script(ends, order)
        data = multilabel_context.dataset
        with RunStore(tmp_path / f"{name}.db") as store:
            store.add_dataset(data, [])
            store.recover()
            store.start_study(StudyRow("study", "study", {"seed": 0}, data.dataset_id, "mcc", {"f012": 0}))
            driver = Driver(store, script, multilabel_context, "study", 0, StudyProgress(quiet=True))
            left = iter(range(time_for))
            driver.may_start = lambda config: next(left, None) is not None
            results = driver.run([small_run(purpose="tune", label=label) for label in labels])
            assert all(result == results[0] for result in results)
            status, error = tuple(store.row("SELECT status, error FROM run"))
        return results[0], status, error, script.handed_out

    return run


def test_a_trial_is_pruned_by_its_first_fold_and_the_second_is_not_run(drive):
    result, status, error, folds = drive(("pruned", "ends"))
    assert (result.status, status, error, folds) == ("pruned", "pruned", "behind", [0])


@pytest.mark.parametrize("ends", list(itertools.product(("ends", "pruned", "fails"), repeat=2)))
def test_the_order_in_which_folds_end_changes_nothing(drive, ends):
    alone, *told = drive(ends)[:3]
    for number, order in enumerate(([0, 1], [1, 0])):
        other, *found = drive(ends, order, name=f"store{number}")[:3]
        assert (other.status, other.curve, *found) == (alone.status, alone.curve, *told)
    if ends == ("ends", "ends"):
        assert alone.inner_score == pytest.approx(sum(SCORES) / 2)


@pytest.mark.parametrize("ends", [("pruned", "ends"), ("ends", "pruned")])
@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
@pytest.mark.parametrize("verb", ["write_fold", "end_run", "finish_run"])
def test_a_driver_that_dies_forgets_no_pruning(drive, monkeypatch, ends, order, verb):
    whole = drive(ends, name="whole")[0]
    original = getattr(RunStore, verb)

    def die(self, *arguments):
        original(self, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunStore, verb, die)
        with suppress(KeyboardInterrupt):
            drive(ends, order)
    result, status, error, _ = drive(ends)
    assert (result.status, result.curve) == (whole.status, whole.curve)
    assert (status, error) == ("pruned", "behind")


def test_an_executor_that_breaks_leaves_no_run_running(drive, tmp_path, monkeypatch):
    def broken(self, task):
        raise OSError(28, "no space for another worker")

    with monkeypatch.context() as patch:
        patch.setattr(Script, "outcome", broken)
        with pytest.raises(OSError, match="no space"):
            drive(("ends", "ends"))
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        ((status, error),) = connection.execute("SELECT status, error FROM run").fetchall()
    assert status == "interrupted" and "no space for another worker" in error
    assert drive(("ends", "ends"))[1] == "complete", "the next start goes on with it"


def test_a_run_that_failed_is_tried_again_where_it_failed(drive):
    assert drive(("ends", "fails"))[1:] == ("failed", "fold 1: the loss became nan", [0, 1])
    result, status, error, folds = drive(("ends", "ends"))
    assert (result.status, status, error, folds) == ("complete", "complete", None, [1])


@pytest.mark.parametrize("time_for", [0, 1])
def test_a_run_without_time_is_interrupted_with_the_reason_and_goes_on_when_there_is(drive, time_for):
    result, *told, folds = drive(("ends", "ends"), time_for=time_for)
    assert (result.status, *told) == ("interrupted", "interrupted", NO_TIME)
    assert folds == [0][:time_for]
    assert drive(("ends", "ends"), time_for=0)[0].status == "interrupted"
    result, status, error, folds = drive(("ends", "ends"))
    assert (result.status, status, error) == ("complete", "complete", None)
    assert folds == [0, 1][time_for:]


def test_the_same_run_under_two_names_is_made_once(drive):
    """As where a plan names the policy that is a method's own anyway."""
    result, status, _, folds = drive(("ends", "ends"), labels=("own policy", "policy fruit"))
    assert (result.status, status, folds) == ("complete", "complete", [0, 1])


def test_a_disk_that_fails_is_not_taken_for_a_fold_that_does(drive, monkeypatch):
    def full(self, run_id, bundle):
        raise AvocadoError("the disk is full")

    monkeypatch.setattr(RunStore, "write_fold", full)
    with pytest.raises(AvocadoError, match="full"):
        drive(("ends", "ends"))

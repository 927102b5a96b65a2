"""Several nodes on one machine: the same results, and a lost node costs nothing."""

import importlib
import os
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from backend.data.cache_memory import MemoryCache
from backend.errors import ConfigError
from backend.training.executor import TimeLimit
from backend.training.plan import Plan
from backend.training.settings import BaselineStage, PretrainingStage
from backend.training.study import StudyOptions, run_study
from backend.training.task import FoldTask

NODES = [int(count) for count in os.environ.get("AVOCADO_NODES", "2").split()]
"""Sizes of the clusters that lose a node; ``make test-faults`` asks for more of them."""

PLAN = Plan(
    name="tiny",
    folds=2,
    resolution=16,
    baseline=BaselineStage(trials=2, generation=2, tune_epochs=2, epochs=2, min_steps=0),
    pretraining=PretrainingStage(methods=("simclr",), epochs=1, batch_size=16, fractions=(1.0,), min_steps=0),
)
NUMBERS = "SELECT run_id, fold, fruit_id, defect, score, y_pred FROM prediction ORDER BY 1, 2, 3, 4"


def query(store, sql):
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
def behave(monkeypatch):
    """A function that workers can import."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("fake_work").behave


@pytest.fixture
def noop(behave):
    """The cheapest work there is."""
    return importlib.import_module("fake_work").noop


@pytest.fixture
def cluster(request, monkeypatch):
    """A head and a second node, each with one core; more nodes where a test asks for them."""
    pytest.importorskip("ray", reason="Ray is an extra: pip install -r requirements-cluster.txt")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # so that workers find the fake work
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    others = [found.add_node(num_cpus=1) for _ in range(getattr(request, "param", 2) - 1)]
    found.wait_for_nodes()
    yield found, others[0]
    found.shutdown()


def make_executor(context, cluster, **more):
    from backend.training.ray_executor import RayExecutor

    return RayExecutor(context, cluster[0].address, **more)


def test_without_ray_one_line_says_what_to_install(monkeypatch):
    from backend.training.ray_executor import import_ray

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"--cluster.*requirements-cluster\.txt"):
        import_ray()


def test_images_in_memory_are_those_on_disk(multilabel_context):
    cache = multilabel_context.cache
    held = MemoryCache.of(cache)
    rows = np.array([3, 0, 3, len(cache) - 1])
    for name in cache.modalities:
        np.testing.assert_array_equal(held.batch(rows, name), cache.batch(rows, name))
        np.testing.assert_array_equal(held.present[name], cache.present[name])
    for (mean, std), (other_mean, other_std) in zip(
        held.channel_statistics(rows).values(), cache.channel_statistics(rows).values(), strict=True
    ):
        np.testing.assert_array_equal(mean, other_mean)
        np.testing.assert_array_equal(std, other_std)
    with pytest.raises(IndexError):
        held.batch([len(cache)], "rgb")


@pytest.mark.slow
def test_faults_cost_their_task_only(cluster, small_run, behave, multilabel_context, monkeypatch):
    monkeypatch.setattr("backend.training.ray_executor.START_SECONDS", 40.0)
    executor = make_executor(multilabel_context, cluster, limit=TimeLimit(2), function=behave)
    try:
        assert executor.workers == 2
        actions = ("ok", "raise", "die", "ok", "hang", "ok")
        tasks = [FoldTask(action, small_run(label=action), i, 0) for i, action in enumerate(actions)]
        outcomes = {o.task.fold: o for o in executor.run(tasks) if o is not None}
        assert sorted(outcomes) == list(range(6))
        assert not [o.error for o in outcomes.values() if o.task.run_id == "ok" and o.error]
        assert {o.task.run_id for o in outcomes.values() if o.bundle is not None} == {"ok"}
        assert "a defect of ours" in outcomes[1].error
        assert "the worker failed" in outcomes[2].error
        assert "no end after 2 s" in outcomes[4].error
        places = {dict(o.bundle.notes)["pid"] for o in outcomes.values() if o.bundle is not None}
        assert str(os.getpid()) not in places
    finally:
        executor.close()


@pytest.mark.slow
def test_a_cluster_leaves_sigterm_to_the_study(cluster, noop, multilabel_context):
    before = signal.getsignal(signal.SIGTERM)
    executor = make_executor(multilabel_context, cluster, function=noop)
    try:
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        executor.close()


@pytest.mark.slow
def test_a_thousand_tasks_are_scheduled_within_a_minute(cluster, small_run, noop, multilabel_context):
    executor = make_executor(multilabel_context, cluster, function=noop)
    try:
        config = small_run(label="ok")
        started = time.monotonic()
        done = sum(o is not None for o in executor.run(FoldTask("ok", config, i, 0) for i in range(1000)))
        assert done == 1000
        assert time.monotonic() - started < 60
    finally:
        executor.close()


@pytest.mark.slow
@pytest.mark.parametrize("cluster", NODES, indirect=True)
def test_a_node_lost_in_the_middle_changes_no_number(multilabel_folder, tmp_path, cluster):
    def options(folder, **more):
        return StudyOptions(multilabel_folder, tmp_path / folder / "store.db", tmp_path / "cache", **more)

    alone = options("alone", workers=0, device="cpu", quiet=True)
    run_study(PLAN, alone)
    together = options("together", cluster=cluster[0].address, device="cpu", quiet=True)
    killer = threading.Thread(target=_remove_after_first_fold, args=(together.store, *cluster))
    killer.start()
    summary = run_study(PLAN, together)
    killer.join()
    assert summary["runs"] == {"complete": 6}
    assert query(together.store, NUMBERS) == query(alone.store, NUMBERS)


def _remove_after_first_fold(store, cluster, node):
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        try:
            if query(store, "SELECT COUNT(*) FROM run_fold")[0][0]:
                break
        except sqlite3.Error:
            pass
        time.sleep(0.1)
    cluster.remove_node(node, allow_graceful=False)

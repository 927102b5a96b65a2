"""Several devices in one pretraining: two processes on this machine's CPU, talking by gloo."""

import importlib
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.config import MethodConfig, OptimConfig
from backend.errors import ConfigError, DataError
from backend.methods.registry import PRETEXT, list_methods
from backend.training import pretrain
from backend.training.execute import execute
from backend.training.executor import InProcessExecutor
from backend.training.pool import PoolExecutor
from backend.training.ranks import RankError, require_devices, run_on_devices
from backend.training.samples import EpochOrder
from backend.training.task import FoldTask

EPOCHS = 4
PAIRS = [info.name for info in list_methods() if info.pretrains and info.family != PRETEXT]


@pytest.fixture
def work(monkeypatch):
    """Functions that the processes can import."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("rank_work")


@pytest.fixture
def task(small_run):
    config = replace(
        small_run(modalities=("rgb",)),
        kind="pretrain",
        method=MethodConfig(name="simclr"),
        optim=OptimConfig(epochs=EPOCHS, batch_size=16, learning_rate=1e-3),
        devices=2,
    )
    return FoldTask("run", config, 0, 0)


def test_each_device_gets_an_equal_part_of_a_step():
    order = EpochOrder(np.arange(50), 15, seed=0, parts=4)
    assert order.batch_size == 12
    assert EpochOrder(np.arange(50), 15, seed=0).batch_size == 15
    assert EpochOrder(np.arange(9), 2, seed=0, parts=4).batch_size == 8
    with pytest.raises(ConfigError, match="7 images for 4 devices"):
        EpochOrder(np.arange(7), 2, seed=0, parts=4)


def test_more_devices_than_there_are_is_one_line():
    with pytest.raises(ConfigError, match="--devices: 3 devices for one pretraining; expected at most 1 mps"):
        require_devices("mps", 3)


@pytest.mark.slow
def test_two_devices_make_the_step_of_one_and_stay_alike(work, small_run, multiclass_context):
    """Negatives come from both: gradients are those of the whole batch, and parameters stay equal."""
    base = small_run(modalities=("rgb",))
    alone = work.gradients(None, base, PAIRS, multiclass_context)
    together, trained = run_on_devices(work.both, 2, "cpu", 1, base, PAIRS, multiclass_context)
    assert len(PAIRS) > 8
    for name in PAIRS:
        assert alone[name].keys() == together[name].keys()
        scale = max(np.abs(value).max() for value in alone[name].values())
        for key, value in alone[name].items():
            np.testing.assert_allclose(
                together[name][key] / scale, value / scale, atol=2e-3, err_msg=f"{name} {key}"
            )
    assert len(trained) == 2
    np.testing.assert_array_equal(trained[0], trained[1])


@pytest.mark.slow
def test_a_dead_rank_ends_the_run_with_its_reason_and_the_next_goes_on(
    work, task, multilabel_context, tmp_path, monkeypatch
):
    def outcome(context):
        bundle = execute(task, context)
        return bundle.artifacts, bundle.curves, bundle.metrics

    plain = outcome(multilabel_context)
    losses = [point.value for point in plain[1] if point.metric == "loss"]
    assert len(losses) == EPOCHS
    assert losses[-1] < losses[0]
    context = replace(multilabel_context, scratch=tmp_path)
    monkeypatch.setattr(
        pretrain, "run_on_devices", lambda _, *args: run_on_devices(work.train_then_die, *args)
    )
    (failed,) = InProcessExecutor(context, execute).run([task])
    assert failed.bundle is None
    assert failed.error.startswith("rank 1 of 2 died: SIGKILL")
    assert len(failed.error.splitlines()) == 1
    assert context.checkpoint("run", 0).exists()
    monkeypatch.undo()
    assert outcome(context) == plain


@pytest.mark.slow
def test_a_worker_of_the_pool_can_have_ranks(task, multilabel_context):
    executor = PoolExecutor(multilabel_context, 1)
    try:
        (found,) = [outcome for outcome in executor.run([task]) if outcome is not None]
    finally:
        executor.close()
    assert found.error == ""
    assert [artifact.kind for artifact in found.bundle.artifacts] == ["encoders"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("refuse", DataError, "here: no fruit"),
        ("memory", torch.OutOfMemoryError, "too large"),
        ("crash", RankError, "rank 1 of 2: .*a defect of ours"),
    ],
)
def test_what_a_rank_raises_is_raised(work, how, error, message):
    with pytest.raises(error, match=f"(?s){message}"):
        run_on_devices(work.fail, 2, "cpu", 1, how)


@pytest.mark.slow
def test_nobody_outlives_the_parent(work, tmp_path):
    parent = multiprocessing.get_context("spawn").Process(
        target=run_on_devices, args=(work.linger, 2, "cpu", 1, str(tmp_path))
    )
    parent.start()
    deadline = time.monotonic() + 120
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    ranks = [int(path.name) for path in tmp_path.iterdir()]
    assert len(ranks) == 2
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    while any(map(_runs, ranks)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(_runs, ranks))


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_share_batch_statistics(task, multilabel_context):
    bundle = execute(task, replace(multilabel_context, device="cuda"))
    losses = [point.value for point in bundle.curves if point.metric == "loss"]
    assert losses[-1] < losses[0]

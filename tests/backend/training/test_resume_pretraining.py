"""A pretraining fold that is killed goes on from its last epoch, and ends with the same bits."""

import json
import os
import signal
import sys
from dataclasses import replace

import pytest
import safetensors

from backend.config import MethodConfig, OptimConfig
from backend.training import pretrain_loop, pretraining
from backend.training.execute import execute
from backend.training.pretrain_loop import Pretraining
from backend.training.task import FoldTask

EPOCHS = 5


@pytest.fixture
def task(small_run):
    config = small_run(modalities=("rgb",))
    config = replace(
        config,
        kind="pretrain",
        method=MethodConfig(name="simclr"),
        optim=OptimConfig(epochs=EPOCHS, batch_size=16, learning_rate=1e-3),
    )
    return FoldTask("run", config, 0, 0)


def outcome(task, context):
    bundle = execute(task, context)
    return bundle.artifacts, bundle.curves, bundle.metrics


@pytest.mark.skipif(sys.platform == "win32", reason="os.fork")
@pytest.mark.parametrize(
    ("purpose", "epochs_done"), [("final", 1), ("final", 3), ("tune", 2), ("tune", EPOCHS)]
)
def test_a_killed_pretraining_goes_on_bit_for_bit(
    task, multilabel_context, tmp_path, monkeypatch, purpose, epochs_done
):
    task = replace(task, config=replace(task.config, purpose=purpose))
    plain = outcome(task, multilabel_context)
    context = replace(multilabel_context, scratch=tmp_path / "checkpoints")
    checkpoint = context.checkpoint("run", 0)
    original = pretrain_loop.save_state

    def save_then_die(path, identity, progress, *more):
        original(path, identity, progress, *more)
        if progress.epoch == epochs_done:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:  # dies as a worker does, in the middle of its fold
        try:
            pretrain_loop.save_state = save_then_die
            execute(task, context)
        finally:
            os._exit(1)  # never back into the tests
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert checkpoint.exists()
    trained = []
    epoch = Pretraining._epoch
    monkeypatch.setattr(
        Pretraining, "_epoch", lambda self, number: trained.append(number) or epoch(self, number)
    )
    with safetensors.safe_open(checkpoint, framework="pt") as file:
        before = json.loads(file.metadata()["about"])["progress"]["seconds"]
    bundle = execute(task, context)
    assert (bundle.artifacts, bundle.curves, bundle.metrics) == plain
    assert trained == list(range(epochs_done + 1, EPOCHS + 1))
    assert bundle.seconds > before > 0, "what was spent before the kill counts too"


def test_a_trial_that_goes_on_is_judged_by_all_its_epochs(task, multilabel_context, tmp_path, monkeypatch):
    """Its best epoch lies before the interruption, and saves it from being pruned afterwards."""
    task = replace(task, config=replace(task.config, purpose="tune"), prune_floor=(-1.0, -1.0, 0.5, 0.5, 0.5))
    context = replace(multilabel_context, scratch=tmp_path)
    scores = iter((0.6, 0.1, 0.2, 0.1, 0.3))
    monkeypatch.setattr(pretraining, "inner_mcc", lambda *_: next(scores))
    original = pretrain_loop.save_state

    def save_then_stop(path, identity, progress, *more):
        original(path, identity, progress, *more)
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pretrain_loop, "save_state", save_then_stop)
        execute(task, context)
    bundle = execute(task, context)
    assert not bundle.pruned
    assert [point.value for point in bundle.curves if point.metric == "mcc"] == [0.6, 0.1, 0.2, 0.1, 0.3]


def test_a_disk_that_takes_no_checkpoint_costs_no_training(task, multilabel_context, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pretrain_loop, "save_state", full)
    context = replace(multilabel_context, scratch=tmp_path)
    assert execute(task, context).artifacts

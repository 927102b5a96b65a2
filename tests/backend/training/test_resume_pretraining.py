"""A pretraining fold that is killed goes on from its last epoch, and ends with the same bits."""

import os
import signal
import sys
from dataclasses import replace

import pytest

from backend.config import MethodConfig, OptimConfig
from backend.training import pretrain
from backend.training.execute import execute
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
@pytest.mark.parametrize("epochs_done", [1, 3])
def test_a_killed_pretraining_goes_on_bit_for_bit(
    task, multilabel_context, tmp_path, monkeypatch, epochs_done
):
    plain = outcome(task, multilabel_context)
    context = replace(multilabel_context, scratch=tmp_path / "checkpoints")
    checkpoint = context.checkpoint("run", 0)
    original = pretrain.save_state

    def save_then_die(path, identity, epoch, *more):
        original(path, identity, epoch, *more)
        if epoch == epochs_done:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:  # dies as a worker does, in the middle of its fold
        pretrain.save_state = save_then_die
        execute(task, context)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert checkpoint.exists()
    trained = []
    epoch = pretrain.Pretraining._epoch
    monkeypatch.setattr(
        pretrain.Pretraining, "_epoch", lambda self, number: trained.append(number) or epoch(self, number)
    )
    assert outcome(task, context) == plain
    assert trained == list(range(epochs_done + 1, EPOCHS + 1))


def test_a_disk_that_takes_no_checkpoint_costs_no_training(task, multilabel_context, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pretrain, "save_state", full)
    context = replace(multilabel_context, scratch=tmp_path)
    assert execute(task, context).artifacts

"""What ranks do in tests of several devices; its folder is put on sys.path, so that processes find it."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from backend.config import AugmentConfig
from backend.errors import DataError
from backend.methods.registry import default_method_config, default_optim
from backend.training import pretrain
from backend.training.feed import FruitFeed
from backend.training.pretrain_loop import Pretraining, make_pool

SMALL = 20_000
"""Parameters with fewer numbers than this are compared."""


def configure(base, name):
    """A pretraining without random draws, so that one device and several see the same images."""
    return replace(
        base,
        kind="pretrain",
        method=default_method_config(name),
        augment=AugmentConfig(strength=0.0),
        optim=default_optim(name, epochs=2, batch_size=16),
    )


def prepare(fabric, base, name, context):
    config = configure(base, name)
    feed = FruitFeed(context.dataset, context.cache, config.model.image_modalities, "cpu")
    pool = make_pool(config, feed, np.arange(len(context.dataset)), context.dataset.labels)
    return Pretraining(config, feed, pool, 7, 16, fabric)


def gradients(fabric, base, names, context):
    """The first step of each method, BatchNorm left out: name to parameter to gradient."""
    found = {}
    for name in names:
        training = prepare(fabric, base, name, context)
        training.method.eval()
        training.method.set_progress(1, 2)
        chosen, rng = next(training.order.epoch(1))
        loss, _ = training.network(training.samples.batch(chosen, rng, training.part), torch.Generator())
        loss.backward()
        found[name] = {
            key: value.grad.numpy()
            for key, value in training.method.named_parameters()
            if value.grad is not None and value.numel() < SMALL
        }
    return found


def parameters(fabric, base, name, context):
    """Train two epochs; the parameters of each rank, one row a rank."""
    training = prepare(fabric, base, name, context)
    training.run(None, None)
    flat = torch.cat([value.detach().flatten() for value in training.method.parameters()])
    return fabric.all_gather(flat).numpy()


def both(fabric, base, names, context):
    """One start of the processes for two questions."""
    return gradients(fabric, base, names, context), parameters(fabric, base, "moco", context)


def train_then_die(fabric, job, batch_size):
    """A pretraining whose second rank is killed in the second epoch."""
    epoch = Pretraining._epoch

    def die(self, number):
        if number == 2 and fabric.global_rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return epoch(self, number)

    Pretraining._epoch = die
    return pretrain._train(fabric, job, batch_size)


def fail(fabric, how):
    """The second rank fails; the first waits for it."""
    if fabric.global_rank == 1:
        if how == "refuse":
            raise DataError("no fruit", where="here")
        if how == "memory":
            raise torch.OutOfMemoryError("too large")
        raise ZeroDivisionError("a defect of ours")
    fabric.barrier()


def linger(fabric, folder):
    """Say who we are and stay."""
    Path(folder, str(os.getpid())).touch()
    time.sleep(300)

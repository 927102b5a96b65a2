"""Stands in for training in tests of executors; its folder is put on sys.path, so that workers find it."""

import os
import signal
import time

from backend.errors import DataError
from backend.store.bundle import FoldBundle


def behave(task, context):
    """Do what the label of the run says."""
    action = task.config.label
    if action == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "hang":
        time.sleep(300)
    if action == "raise":
        raise ZeroDivisionError("a defect of ours")
    if action == "refuse":
        raise DataError("no fruit", where="here")
    return FoldBundle(fold=task.fold, seconds=0.0, notes=(("pid", str(os.getpid())), ("context", context)))


def noop(task, context):
    """What scheduling costs, and nothing else."""
    return FoldBundle(fold=task.fold, seconds=0.0)

"""Stands in for training in tests of executors; its folder is put on sys.path, so that workers find it."""

import os
import signal
import sys
import time
from pathlib import Path

from backend.errors import DataError
from backend.store.bundle import FoldBundle


def behave(task, context):
    """Do what the label of the run says."""
    action = task.config.label
    if action == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if action == "die-once":
        mark = Path(os.environ["FAKE_WORK_FOLDER"], "died")
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    if action == "complain":
        print("the sensor is cold", file=sys.stderr, flush=True)
        raise ZeroDivisionError("a defect of ours")
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

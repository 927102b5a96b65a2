"""What processes of this program owe each other: nobody outlives a parent, and a death has a reason."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading


def exit_with_parent() -> None:
    """End this process as soon as the one that started it is gone, whatever this one is doing.

    What it does is of no use to anyone then, and the next driver's workers write the same checkpoints.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None, "only processes that multiprocessing has started have such a parent"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def describe_death(exitcode: int) -> str:
    """An exit code in words."""
    if exitcode >= 0:
        return f"exit code {exitcode}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-exitcode).name
        return f"{name} (killed from outside: out of memory?)" if name == "SIGKILL" else name
    return f"signal {-exitcode}"

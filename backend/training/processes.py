"""What processes of this program owe each other: nobody outlives a parent, and a death has a reason."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from backend.cli import STOPS

FOLDER = "avocado-workers-"
"""How the names of log folders begin."""
LOCK = ".lock"
LEFT_SECONDS = 3600.0
"""How old a folder has to be before anybody takes it for one that a killed driver has left."""


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


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let no second signal of ``STOPS`` cut the last words short; for moments only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class LogFolder:
    """A temporary folder for the logs of worker processes.

    It goes with ``close``. That of a driver that was killed goes with the next driver that makes one: as long
    as its owner lives, the kernel holds a lock on a file in it. (A pid would say nothing where containers
    share the temporary folder.)
    """

    def __init__(self) -> None:
        """Make the folder, and remove those that nobody owns any more."""
        self._folder = tempfile.TemporaryDirectory(prefix=FOLDER, ignore_cleanup_errors=True)
        self.path = Path(self._folder.name)
        self._lock = FileLock(self.path / LOCK)
        self._lock.acquire()
        for folder in self.path.parent.glob(f"{FOLDER}*"):
            with contextlib.suppress(OSError):  # somebody else's, or gone already
                _remove_if_left(folder)

    def close(self) -> None:
        """Remove the folder; safe to call twice."""
        self._lock.release()
        self._folder.cleanup()


def _remove_if_left(folder: Path) -> None:
    """Remove a log folder of this user whose owner has ended without doing so."""
    lock, facts = folder / LOCK, folder.lstat()
    ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid()
    if not ours or time.time() - lock.stat().st_mtime < LEFT_SECONDS:
        return
    with contextlib.suppress(Timeout), FileLock(lock, blocking=False):
        shutil.rmtree(folder)


def describe_death(exitcode: int) -> str:
    """An exit code in words."""
    if exitcode >= 0:
        return f"exit code {exitcode}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-exitcode).name
        return f"{name} (killed from outside: out of memory?)" if name == "SIGKILL" else name
    return f"signal {-exitcode}"

"""Where folds run: in this process, or in a pool of processes that survive each other's death.

An executor takes tasks and yields an ``Outcome`` for each as it ends, whatever happened: a bundle, a reason
why there is none. Workers are started once and reused, because importing torch takes seconds.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, TimeoutError, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pebble import ProcessExpired, ProcessPool

from backend.errors import AvocadoError
from backend.store.bundle import FoldBundle
from backend.training.execute import execute
from backend.training.task import FoldTask, WorkerContext

TICK_SECONDS = 10.0
"""How often an executor says that it is still at it."""
LOG_LINES = 30
"""Last lines of a worker's log that are kept with a failure."""


@dataclass(frozen=True)
class Outcome:
    """How a task ended: with a bundle, or with an error in words."""

    task: FoldTask
    bundle: FoldBundle | None
    error: str = ""


class Executor(Protocol):
    """Runs tasks somewhere."""

    def run(self, tasks: Iterable[FoldTask]) -> Iterator[Outcome | None]:
        """Run every task and yield each outcome as it comes, in any order; None = still at it."""

    def close(self) -> None:
        """Stop every worker; tasks in flight are lost."""


def describe_failure(error: BaseException) -> str:
    """The reason of a failure for the store: one line for what the user can mend, else a traceback's end."""
    if isinstance(error, AvocadoError):
        return str(error)
    lines = traceback.format_exception(error)
    return "".join(lines)[-4000:].strip()


def _run_safely(task: FoldTask, context: WorkerContext) -> Outcome:
    try:
        return Outcome(task, execute(task, context))
    except KeyboardInterrupt:
        raise
    except Exception as error:  # a fault inside a trial costs that trial only
        return Outcome(task, None, describe_failure(error))


class InProcessExecutor:
    """One task after the other, in this process: for tests and for debugging.

    Args:
        context: the data.
    """

    def __init__(self, context: WorkerContext) -> None:
        self.context = context

    def run(self, tasks: Iterable[FoldTask]) -> Iterator[Outcome | None]:
        """Run the tasks in order."""
        for task in tasks:
            yield _run_safely(task, self.context)

    def close(self) -> None:
        """Nothing to stop."""


_context: WorkerContext | None = None


def _start_worker(context: WorkerContext, threads: int, log_folder: str) -> None:
    """Prepare a worker process: its log, its signals, the data."""
    global _context  # noqa: PLW0603 - a process of a pool has no other place for what it is given once
    _context = context
    # Ctrl-C reaches the whole process group; the driver decides what happens to workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    log = Path(log_folder, f"{os.getpid()}.log").open("a", buffering=1)  # noqa: SIM115 - lives as long as the process
    os.dup2(log.fileno(), sys.stderr.fileno())


def _work(task: FoldTask) -> Outcome:
    assert _context is not None, "the worker was not started by _start_worker"
    return _run_safely(task, _context)


class PoolExecutor:
    """A pool of worker processes.

    Args:
        context: the data; handed to each worker once.
        workers: processes.
        threads: CPU threads a worker starts with; each task sets its own number.
        timeout: seconds after which a task counts as hung and its worker is replaced; None = never.
    """

    def __init__(
        self, context: WorkerContext, workers: int, threads: int = 1, timeout: float | None = None
    ) -> None:
        self._timeout = timeout
        self._workers = workers
        self._logs = tempfile.TemporaryDirectory(prefix="avocado-workers-")
        self._pool = ProcessPool(
            max_workers=workers,
            initializer=_start_worker,
            initargs=(context, threads, self._logs.name),
            context=multiprocessing.get_context("spawn"),
        )

    def run(self, tasks: Iterable[FoldTask]) -> Iterator[Outcome | None]:
        """Run the tasks, at most one a worker at a time, and yield outcomes as they come."""
        queue = iter(tasks)
        running: dict[Future[Outcome], FoldTask] = {}
        try:
            while True:
                while len(running) < self._workers and (task := next(queue, None)) is not None:
                    running[self._pool.schedule(_work, args=[task], timeout=self._timeout)] = task
                if not running:
                    return
                done, _ = wait(running, timeout=TICK_SECONDS, return_when=FIRST_COMPLETED)
                if not done:
                    yield None
                for future in done:
                    yield self._outcome(future, running.pop(future))
        finally:
            for future in running:
                future.cancel()

    def _outcome(self, future: Future[Outcome], task: FoldTask) -> Outcome:
        try:
            return future.result()
        except TimeoutError:
            return Outcome(task, None, f"no end after {self._timeout:.0f} s: the worker was stopped")
        except ProcessExpired as error:
            return Outcome(task, None, self._describe_death(error))
        except Exception as error:  # e.g. a result that cannot be unpickled
            return Outcome(task, None, describe_failure(error))

    def _describe_death(self, error: ProcessExpired) -> str:
        code = error.exitcode or 0
        reason = f"exit code {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                reason = signal.Signals(-code).name
        hint = " (killed from outside: out of memory?)" if code == -signal.SIGKILL else ""
        return f"the worker process died: {reason}{hint}\n{self._log_tail(error.pid)}".strip()

    def _log_tail(self, pid: int | None) -> str:
        path = Path(self._logs.name, f"{pid}.log")
        if not path.exists():
            return ""
        return "\n".join(path.read_text(errors="replace").splitlines()[-LOG_LINES:])

    def close(self) -> None:
        """Stop the workers at once."""
        self._pool.stop()
        self._pool.join()
        self._logs.cleanup()


def make_executor(
    context: WorkerContext, workers: int, threads: int, timeout: float | None = None
) -> Executor:
    """The executor for ``workers`` processes; 0 = in this process."""
    if workers == 0:
        return InProcessExecutor(context)
    return PoolExecutor(context, workers, threads, timeout)

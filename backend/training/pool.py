"""Worker processes that survive each other's death.

Each worker has a pipe of its own, so one that is killed in the middle of a message takes nothing with it
but its task. (Pools that share one pipe between workers - concurrent.futures, loky, pebble - break or
lose other tasks when a worker gets SIGKILL; this was tried.)
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING

from backend.training.executor import Outcome, TimeLimit, run_safely, train
from backend.training.processes import LogFolder, describe_death, exit_with_parent
from backend.training.task import FoldTask, WorkerContext

if TYPE_CHECKING:
    from backend.training.execute import TaskFunction

log = logging.getLogger(__name__)

TICK_SECONDS = 10.0
"""How often the pool says that it is still at it."""
LOG_LINES = 30
"""Last lines of a worker's log that are kept with a failure."""
RETRIES = 1
"""How often a task is given to another worker after its own has died; one that hung is not tried again."""
START_SECONDS = 600.0
"""How long a worker may take to start: importing torch from a slow disk takes a minute."""
_STOP_SECONDS = 5.0


def _serve(pipe: Connection, context: WorkerContext, function: TaskFunction, threads: int, log: str) -> None:
    """The life of a worker: take a task, send its outcome, until the driver hangs up."""
    # Ctrl-C reaches the whole process group; the driver decides what happens to workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    exit_with_parent()
    os.environ["OMP_NUM_THREADS"] = str(threads)
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, sys.stderr.fileno())
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        pipe.send(None)  # ready: a task's time starts when its worker has, not while it imports torch
        while True:
            pipe.send(run_safely(function, pipe.recv(), context))


@dataclass
class _Worker:
    """One process: its end of the pipe, its log, its task, where in the log that began, and its deadline."""

    process: SpawnProcess
    pipe: Connection
    log: Path
    ready: bool = False
    task: FoldTask | None = None
    logged: int = 0
    limit: float = START_SECONDS
    deadline: float = float("inf")

    def log_tail(self) -> str:
        """The last lines that the task in hand has written to the log."""
        if not self.log.exists():
            return ""
        text = self.log.read_bytes()[self.logged :].decode(errors="replace")
        return "\n".join(text.splitlines()[-LOG_LINES:])


class PoolExecutor:
    """A pool of worker processes, started once and reused: importing torch takes seconds.

    Args:
        context: the data; handed to each worker once.
        workers: processes.
        threads: CPU threads a worker starts with; each task sets its own number.
        limit: when a task counts as hung, so that its worker is replaced.
        function: what does a task; importable by the workers.
    """

    def __init__(
        self,
        context: WorkerContext,
        workers: int,
        threads: int = 1,
        limit: TimeLimit | None = None,
        function: TaskFunction = train,
    ) -> None:
        self._context = context
        self.workers = workers
        self._threads = threads
        self._limit = limit or TimeLimit()
        self._function = function
        self._spawn: SpawnContext = multiprocessing.get_context("spawn")
        self._logs = LogFolder()
        self._started = 0
        self._workers: list[_Worker] = []
        self._deaths: Counter[tuple[str, int]] = Counter()
        self._again: list[FoldTask] = []
        # Workers are no daemons, for they may have children (``ranks``), and multiprocessing waits for such.
        atexit.register(self.close)

    def run(self, tasks: Iterable[FoldTask]) -> Generator[Outcome | None]:
        """Run the tasks, at most one a worker at a time, and yield outcomes as they come."""
        queue = iter(tasks)
        exhausted = False
        try:
            while True:
                while (self._again or not exhausted) and (worker := self._idle()) is not None:
                    task = self._again.pop() if self._again else next(queue, None)
                    if task is None:
                        exhausted = True
                    else:
                        self._give(worker, task)
                if not (busy := self._busy()):
                    return
                yield from self._collect(busy) or (None,)
        finally:
            self._again.clear()
            self._stop(self._busy())

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.task is not None]

    def _idle(self) -> _Worker | None:
        """A worker without a task, started where there are fewer than allowed."""
        for worker in self._workers:
            if worker.task is None:
                return worker
        return self._start() if len(self._workers) < self.workers else None

    def _start(self) -> _Worker:
        ours, theirs = self._spawn.Pipe()
        self._started += 1
        log_file = self._logs.path / f"worker-{self._started}.log"
        process = self._spawn.Process(
            target=_serve,
            args=(theirs, self._context, self._function, self._threads, str(log_file)),
        )
        process.start()
        theirs.close()  # so that the death of the worker closes the pipe
        worker = _Worker(process, ours, log_file)
        self._workers.append(worker)
        return worker

    def _give(self, worker: _Worker, task: FoldTask) -> None:
        worker.task = task
        worker.logged = worker.log.stat().st_size if worker.log.exists() else 0
        worker.limit = self._limit.seconds(task) if worker.ready else START_SECONDS
        worker.deadline = time.monotonic() + worker.limit
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died: _collect will find out
            worker.pipe.send(task)

    def _collect(self, busy: list[_Worker]) -> list[Outcome]:
        """Wait until a worker answers, dies, or has taken too long; then say how its task ended."""
        now = time.monotonic()
        patience = min(TICK_SECONDS, *(max(0.0, worker.deadline - now) for worker in busy))
        ready = wait([worker.pipe for worker in busy], patience)
        outcomes = []
        for worker in busy:
            if worker.pipe in ready:
                outcomes += self._receive(worker)
            elif time.monotonic() >= worker.deadline:
                outcomes.append(self._remove(worker, f"no end after {worker.limit:.0f} s: it was stopped"))
        return outcomes

    def _receive(self, worker: _Worker) -> list[Outcome]:
        """What a worker sent: nothing yet where it only says that it is ready."""
        try:
            outcome: Outcome | None = worker.pipe.recv()
        except (EOFError, OSError):  # it died, perhaps while it sent its bundle
            worker.process.join()
            return self._mourn(worker, describe_death(worker.process.exitcode or 0))
        if outcome is None:
            worker.ready = True
            worker.limit = self._limit.seconds(worker.task) if worker.task else worker.limit
            worker.deadline = time.monotonic() + worker.limit
            return []
        if outcome.bundle is None and (tail := worker.log_tail()):
            outcome = replace(outcome, error=f"{outcome.error}\n{tail}")
        self._limit.learn(outcome)
        worker.task = None
        worker.deadline = float("inf")
        return [outcome]

    def _mourn(self, worker: _Worker, reason: str) -> list[Outcome]:
        """A worker has died: its task gets another one, but not for ever."""
        assert worker.task is not None
        task = worker.task
        self._deaths[task.run_id, task.fold] += 1
        outcome = self._remove(worker, reason)
        if self._deaths[task.run_id, task.fold] > RETRIES:
            return [outcome]
        log.warning("fold %d of run %s is tried again: %s", task.fold, task.run_id, outcome.error)
        self._again.append(task)
        return []

    def _remove(self, worker: _Worker, reason: str) -> Outcome:
        """Remove a worker that is dead or hangs; its place is free for a new one."""
        assert worker.task is not None
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        return Outcome(worker.task, None, f"the worker process failed: {reason}\n{worker.log_tail()}".strip())

    def close(self) -> None:
        """Stop the workers at once; tasks in flight are lost."""
        self._stop(list(self._workers))
        self._logs.close()
        atexit.unregister(self.close)

    def _stop(self, workers: list[_Worker]) -> None:
        for worker in workers:
            worker.pipe.close()
            worker.process.terminate()
        for worker in workers:
            worker.process.join(_STOP_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            self._workers.remove(worker)

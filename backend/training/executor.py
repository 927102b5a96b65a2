"""Where folds run: what an executor promises, and the one that runs them in this process.

An executor takes tasks and yields an ``Outcome`` for each as it ends, whatever happened: a bundle, or a
reason why there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from backend.config import RunConfig
from backend.errors import describe_failure
from backend.store.bundle import CurvePoint, FoldBundle
from backend.training.task import FoldTask, TrainingStoppedError, WorkerContext

if TYPE_CHECKING:
    from backend.training.execute import TaskFunction


@dataclass(frozen=True)
class Outcome:
    """How a task ended: with a bundle, or with an error in words and the curves up to it."""

    task: FoldTask
    bundle: FoldBundle | None
    error: str = ""
    curves: tuple[CurvePoint, ...] = ()


class TimeLimit:
    """How long a fold may take before it counts as hung: as given, else from what is known of such folds.

    Args:
        given: seconds; None = ``FACTOR`` times what was measured for it, the longest fold of the same kind so
            far, or as many epochs of the slowest (a trial is much shorter than what it is for), whichever is
            most, but never below ``SHORTEST``; ``FIRST`` while nothing is known.

    Attributes:
        expected: seconds of a fold as far as it was measured; 0 = it was not.
    """

    FACTOR, SHORTEST, FIRST, MEASUREMENT = 20.0, 900.0, 12 * 3600.0, 3600.0

    def __init__(self, given: float | None = None) -> None:
        self.given = given
        self.expected: Callable[[RunConfig], float] = lambda config: 0.0
        self._longest: dict[str, float] = {}
        self._slowest: dict[str, float] = {}

    def seconds(self, task: FoldTask) -> float:
        """The limit of a task."""
        if self.given is not None:
            return self.given
        if task.measure:
            return self.MEASUREMENT
        kind, epochs = task.config.kind, task.config.optim.epochs
        seen = max(self._longest.get(kind, 0.0), self._slowest.get(kind, 0.0) * epochs)
        known = max(seen, self.expected(task.config))
        return max(self.SHORTEST, self.FACTOR * known) if known else self.FIRST

    def learn(self, outcome: Outcome) -> None:
        """Take note of how long a fold took."""
        if outcome.bundle is not None and not outcome.task.measure:
            kind, seconds = outcome.task.config.kind, outcome.bundle.seconds
            epoch = seconds / outcome.task.config.optim.epochs
            self._longest[kind] = max(seconds, self._longest.get(kind, 0.0))
            self._slowest[kind] = max(epoch, self._slowest.get(kind, 0.0))


class Executor(Protocol):
    """Runs tasks somewhere."""

    @property
    def workers(self) -> int:
        """Tasks that run at a time."""

    def run(self, tasks: Iterable[FoldTask]) -> Generator[Outcome | None]:
        """Run every task and yield each outcome as it comes, in any order; None = still at it.

        Who closes it before its end has given up what is in flight; the next call starts afresh.
        """

    def close(self) -> None:
        """Stop every worker; tasks in flight are lost."""


def train(task: FoldTask, context: WorkerContext) -> FoldBundle:
    """Do a task as ``execute`` does; torch is imported by whoever works, not by whoever hands out work."""
    from backend.training.execute import execute

    return execute(task, context)


def run_safely(function: TaskFunction, task: FoldTask, context: WorkerContext) -> Outcome:
    """Do a task; a fault inside it costs that task only."""
    try:
        return Outcome(task, function(task, context))
    except TrainingStoppedError as error:
        return Outcome(task, None, str(error), error.curves)
    except Exception as error:
        return Outcome(task, None, describe_failure(error))


class InProcessExecutor:
    """One task after the other, in this process: for tests and for debugging.

    Args:
        context: the data.
        function: what does a task.
    """

    def __init__(self, context: WorkerContext, function: TaskFunction = train) -> None:
        self.context = context
        self.function = function
        self.workers = 1

    def run(self, tasks: Iterable[FoldTask]) -> Generator[Outcome | None]:
        """Run the tasks in order."""
        for task in tasks:
            yield run_safely(self.function, task, self.context)

    def close(self) -> None:
        """Nothing to stop."""

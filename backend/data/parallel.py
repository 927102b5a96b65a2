"""Work on many images in all cores, in order, with one progress bar on stderr."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tqdm import tqdm

from backend.errors import DataError

T = TypeVar("T")
R = TypeVar("R")

IMAGES_PER_WORKER = 1000
"""Below this many images per process, starting the process takes longer than it saves."""


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_for(images: int, workers: int | None) -> int:
    """How many processes ``images`` are worth; ``workers`` is the most, None = one a core."""
    return max(1, min(available_cores() if workers is None else workers, images // IMAGES_PER_WORKER))


def map_in_processes(
    function: Callable[[T], R],
    tasks: Sequence[T],
    sizes: Iterable[int],
    *,
    workers: int,
    description: str,
    progress: bool,
) -> Generator[R]:
    """Yield ``function(task)`` for every task, in order.

    Args:
        function: a module-level function, so that other processes can import it.
        tasks: its arguments.
        sizes: images in each task, for the progress bar.
        workers: processes; 1 = work here, without any.
        description: words before the bar.
        progress: show the bar where stderr is a terminal.

    Raises:
        DataError: a worker process was killed.
        Exception: the error of the first task, in order, that raised one.
    """
    counts = list(sizes)
    quiet = None if progress else True  # None = quiet unless stderr is a terminal
    with tqdm(total=sum(counts), desc=description, unit=" images", disable=quiet, leave=False) as bar:
        for size, result in zip(counts, _results(function, tasks, workers), strict=True):
            bar.update(size)
            yield result


def _results(function: Callable[[T], R], tasks: Sequence[T], workers: int) -> Generator[R]:
    if workers <= 1:
        yield from map(function, tasks)
        return
    # spawn: a fork of a process in which torch or a progress bar runs threads can hang
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_interrupts_to_parent)
    try:
        yield from pool.map(function, tasks)
    except BrokenProcessPool as error:
        raise DataError(
            "a process that decodes images was killed",
            expected="enough memory for every worker",
            action="use fewer workers or shrink huge images",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)

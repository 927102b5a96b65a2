"""What may fail without the rest of a study: a stage, a method, and work that is no fold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from backend.errors import LostFileError, StoreError, describe_failure
from backend.training.stages.context import StageContext

_PULSE_SECONDS = 5.0


@contextmanager
def part(stage: StageContext, name: str) -> Iterator[None]:
    """A part of a study that the rest can do without: a stage after the baseline, one method of several.

    Whatever goes wrong inside is said, logged and kept with the study, and what comes after it still runs: a
    night must not end because one method cannot work on these fruit. The next start tries it again. Only a
    store that cannot be written ends the study, for nothing could be kept; a lost file of one run does not.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, StoreError) and not isinstance(error, LostFileError):
            raise
        stage.driver.progress.expect(1)
        stage.driver.progress.failed(name, describe_failure(error))


@contextmanager
def piece(stage: StageContext, name: str) -> Iterator[None]:
    """Report a piece of work that was announced with ``progress.expect``.

    Whatever goes wrong inside is said, logged and then forgotten: maps and reports come after everything
    that takes hours, and a study without a map is better than none. The next start tries it again.
    """
    progress, started = stage.driver.progress, time.perf_counter()
    try:
        yield
    except Exception as error:
        progress.failed(name, f"{type(error).__name__}: {error}")
    else:
        progress.advance(name, time.perf_counter() - started)


def pulse(stage: StageContext) -> Callable[[], None]:
    """A function to call often during long work: it lets the store know that the study is alive."""
    last = 0.0

    def beat() -> None:
        nonlocal last
        if time.monotonic() - last > _PULSE_SECONDS:
            stage.driver.store.heartbeat([], stage.driver.study_id)
            last = time.monotonic()

    return beat

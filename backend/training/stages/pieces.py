"""Work of a stage that is no fold: each piece counted, and none of them able to cost the study."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from backend.training.stages.context import StageContext

_PULSE_SECONDS = 5.0


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

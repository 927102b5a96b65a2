"""What pages need is imported before it is asked for, piece by piece, while nothing is being drawn."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from threading import Lock, Thread

FIRST = ("dashboard.views.overview", "dashboard.evidence.data", "dashboard.evidence.tuning")
"""The opening page, and what its figures need, Altair above all."""
LATER = (
    "scipy.stats",
    "scipy.sparse.csgraph",
    "scipy.optimize",
    "sklearn.utils",
    "sklearn.metrics",
    "sklearn.tree",
    "sklearn.ensemble",
    "sklearn.inspection",
)
"""The search for what mattered in tuning needs scikit-learn: a second that no page should wait for."""
PAUSE = 0.5
"""Seconds without a page being drawn before the next module is imported."""
PATIENCE = 10.0
"""Seconds after which a module is imported although readers give no pause."""


class Drawing:
    """Which pages are being drawn, so that imports, which hold the interpreter, can wait for a pause."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pages = 0
        self._last = time.monotonic()

    @contextmanager
    def page(self) -> Iterator[None]:
        """While a page is drawn."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._pages += change
            self._last = time.monotonic()

    def quiet(self, seconds: float) -> bool:
        """Whether nothing is drawn, nor was for so long."""
        with self._lock:
            return self._pages == 0 and time.monotonic() - self._last >= seconds

    def await_quiet(self, seconds: float, patience: float) -> None:
        """Return when it has been quiet for ``seconds``, after ``patience`` seconds in any case."""
        deadline = time.monotonic() + patience
        while not self.quiet(seconds) and time.monotonic() < deadline:
            time.sleep(seconds / 10)


DRAWING = Drawing()


def import_first() -> None:
    """Import what the opening page needs."""
    for name in FIRST:
        import_module(name)


def importer(names: Sequence[str], drawing: Drawing = DRAWING) -> Callable[[], None]:
    """What starts the import of modules and then of ``LATER`` in the background: at the first call only.

    Args:
        names: of modules, in the order in which they will be needed.
        drawing: what to wait for.
    """

    def run() -> None:
        for name in (*names, *LATER):
            drawing.await_quiet(PAUSE, PATIENCE)
            import_module(name)
        # What is imported stays; looking through it at every collection costs a tenth of a second.
        gc.collect()
        gc.freeze()

    thread = Thread(target=run, name="imports", daemon=True)
    first = Lock()

    def start() -> None:
        if first.acquire(blocking=False):
            thread.start()

    return start

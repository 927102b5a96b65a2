"""What is said while a study runs: a bar with an ETA on stderr, a log, and the same facts for the store."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from backend.errors import StoreError

log = logging.getLogger(__name__)


class _Screen:
    """Standard error while somebody reads it: a closed terminal or an ended ``tee`` stops no study."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)  # what tqdm asks of a terminal


class StudyProgress:
    """Counts folds and expects the end.

    Args:
        quiet: no bar.
        events: JSON lines on stderr instead of the bar.
        report: told the ``snapshot`` whenever it changes.

    Attributes:
        faults: run_id (None), name and error of what failed and is no run; reasons of runs are in the store.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        events: bool = False,
        report: Callable[[dict[str, Any]], None] = lambda facts: None,
    ) -> None:
        self._report = report
        self._events = events
        self.faults: list[dict[str, str | None]] = []
        self.stage = ""
        self.done = 0
        self.total = 0
        self._started = time.monotonic()
        self._screen = _Screen()
        hidden = quiet or events
        self._bar = tqdm(total=0, unit="fold", disable=hidden, file=self._screen, dynamic_ncols=True)

    def start_stage(self, name: str) -> None:
        """Say what the next folds are for."""
        self.stage = name
        self._bar.set_description(name, refresh=False)
        log.info("stage %s", name)
        self._say("stage")

    def expect(self, folds: int) -> None:
        """More folds are to come."""
        self.total += folds
        self._bar.total = self.total
        self._bar.refresh()
        self._say("expect")

    def advance(self, name: str, seconds: float) -> None:
        """A fold of run ``name`` is stored."""
        self.done += 1
        self._bar.set_postfix_str(f"{name}: {seconds:.0f} s", refresh=False)
        self._bar.update(1)
        log.info("fold of %s: %.1f s (%d of %d)", name, seconds, self.done, self.total)
        self._say("fold", run=name, seconds=round(seconds, 3))

    def failed(self, name: str, error: str, *, is_run: bool = False) -> None:
        """A fold of run ``name`` is lost, or a piece of other work, and why."""
        self.done += 1
        if not is_run:
            self.faults.append({"run_id": None, "name": name, "error": error})
        self._bar.write(f"failed: {name}: {error.splitlines()[0] if error else ''}", file=self._screen)
        self._bar.update(1)
        log.error("failed: %s: %s", name, error)
        self._say("failed", run=name, error=error)

    def skip(self) -> None:
        """A fold is not worth running any more."""
        self.done += 1
        self._bar.update(1)

    def snapshot(self) -> dict[str, Any]:
        """Stage, folds done and in all, seconds left at the pace so far (None before the first fold)."""
        elapsed = time.monotonic() - self._started
        left = elapsed / self.done * (self.total - self.done) if self.done else None
        return {"stage": self.stage, "done": self.done, "total": self.total, "seconds_left": left}

    def _say(self, event: str, **facts: object) -> None:
        snapshot = self.snapshot()
        self._report(snapshot)
        if self._events:
            print(json.dumps({"event": event, **facts, **snapshot}), file=self._screen, flush=True)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()


class _LogFile(logging.FileHandler):
    """A log that a full disk makes shorter, and nothing else: the store says what has to be said."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Go on without the line."""

    def close(self) -> None:
        """Close the file, whether or not the disk takes the rest."""
        with suppress(OSError):
            super().close()


@contextmanager
def study_log(store: Path, study_id: str) -> Iterator[Path]:
    """Append what ``backend`` logs to ``logs/STUDY.log`` beside the store, and say where that is.

    Raises:
        StoreError: the file cannot be written.
    """
    path = store.parent / "logs" / f"{study_id}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(path, encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"the log cannot be written ({error.strerror})",
            where=str(path),
            action="make the folder writable",
        ) from error
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logger = logging.getLogger("backend")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield path
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()

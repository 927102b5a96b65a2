"""What is said while a study runs: a bar with an ETA on stderr, and the same facts for the store."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm


class StudyProgress:
    """Counts folds and expects the end.

    Args:
        quiet: no bar.
        report: told the ``snapshot`` whenever it changes.
    """

    def __init__(
        self, *, quiet: bool = False, report: Callable[[dict[str, Any]], None] = lambda facts: None
    ) -> None:
        self._report = report
        self.stage = ""
        self.done = 0
        self.total = 0
        self._started = time.monotonic()
        self._bar = tqdm(total=0, unit="fold", disable=quiet, file=sys.stderr, dynamic_ncols=True)

    def start_stage(self, name: str) -> None:
        """Say what the next folds are for."""
        self.stage = name
        self._bar.set_description(name, refresh=False)
        self._report(self.snapshot())

    def expect(self, folds: int) -> None:
        """More folds are to come."""
        self.total += folds
        self._bar.total = self.total
        self._bar.refresh()
        self._report(self.snapshot())

    def advance(self, name: str, seconds: float) -> None:
        """A fold of run ``name`` is stored."""
        self.done += 1
        self._bar.set_postfix_str(f"{name}: {seconds:.0f} s", refresh=False)
        self._bar.update(1)
        self._report(self.snapshot())

    def failed(self, name: str, error: str) -> None:
        """A fold is lost, and why."""
        self.done += 1
        self._bar.write(f"failed: {name}: {error.splitlines()[-1] if error else ''}", file=sys.stderr)
        self._bar.update(1)

    def skip(self) -> None:
        """A fold is not worth running any more."""
        self.done += 1
        self._bar.update(1)

    def snapshot(self) -> dict[str, Any]:
        """Stage, folds done and in all, seconds left at the pace so far (None before the first fold)."""
        elapsed = time.monotonic() - self._started
        left = elapsed / self.done * (self.total - self.done) if self.done else None
        return {"stage": self.stage, "done": self.done, "total": self.total, "seconds_left": left}

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()

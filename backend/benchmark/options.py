"""What the command line says to a benchmark. Imports nothing heavy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REAL_DATA = "AVOCADO_REAL_DATA"
"""A folder with one folder for each kind of data set, used where ``--root`` is left out."""


@dataclass(frozen=True)
class Options:
    """How benchmarks are run.

    Attributes:
        store: the run store.
        data: kind of data set or data set folder; empty = the benchmark's own.
        root: where the collection lies; None = below ``AVOCADO_REAL_DATA``.
        split: which of Riseholme's splits.
        seeds: repetitions; None = as many as the benchmark wants.
        quick: a smoke test: few images, few steps, one seed.
        device: see ``backend.training.optim.resolve_device``.
        threads: CPU threads; sums depend on it, so it does not follow the machine.
        mlflow: an interpreter that has MLflow, for the measurements beside it; None = without them.
    """

    store: Path = Path("runs/store.db")
    data: str = ""
    root: Path | None = None
    split: int = 1
    seeds: int | None = None
    quick: bool = False
    device: str = "auto"
    threads: int = 2
    mlflow: Path | None = None

    @property
    def cache(self) -> Path:
        """Folder of decoded images."""
        return Path(os.environ.get("AVOCADO_CACHE", self.store.parent / "cache"))

    def root_of(self, kind: str) -> Path | None:
        """Where the collection of a kind lies; None = nobody said."""
        if self.root is not None:
            return self.root
        known = os.environ.get(REAL_DATA)
        return Path(known) / kind if known else None

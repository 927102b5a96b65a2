"""What every stage gets, and what stages tell each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from backend.training.driver import Driver, RunResult
from backend.training.plan import Plan


@dataclass
class StageContext:
    """The state of a study between its stages.

    Attributes:
        plan: what to run.
        driver: runs it.
        modalities: sensors in use.
        seed: of the study.
        storage_url: Optuna's database.
        baseline_parameters: what the search chose, once it has.
        baselines: the final baseline runs, one a seed.
    """

    plan: Plan
    driver: Driver
    modalities: tuple[str, ...]
    seed: int
    storage_url: str
    baseline_parameters: dict[str, Any] = field(default_factory=dict)
    baselines: list[RunResult] = field(default_factory=list)

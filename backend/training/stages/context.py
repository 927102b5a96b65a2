"""What every stage gets, and what stages tell each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from backend.training.budget import Budget
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
        budget: says how much of the plan there is time for.
        baseline_parameters: what the search chose, once it has.
        baselines: the final baseline runs, one a seed.
        finetunes: method to its fine-tunes with the most labels, one a seed.
    """

    plan: Plan
    driver: Driver
    modalities: tuple[str, ...]
    seed: int
    storage_url: str
    budget: Budget
    baseline_parameters: dict[str, Any] = field(default_factory=dict)
    baselines: list[RunResult] = field(default_factory=list)
    finetunes: dict[str, list[RunResult]] = field(default_factory=dict)

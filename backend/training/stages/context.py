"""What every stage gets, and what stages tell each other."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from backend.config import PRESSURE
from backend.store.rows import COMPLETE
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
        pretrained: complete pretrainings, each with its probe at the most labels.
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
    pretrained: list[tuple[RunResult, RunResult]] = field(default_factory=list)

    @property
    def has_images(self) -> bool:
        """Whether there is anything to look at beside the pressure."""
        return any(name != PRESSURE for name in self.modalities)


def best_run(runs: Iterable[RunResult]) -> RunResult | None:
    """The complete run with the highest inner-validation MCC: test fruit choose nothing. None without one."""
    complete = [run for run in runs if run.status == COMPLETE]
    return max(
        complete, key=lambda run: -math.inf if math.isnan(run.inner_score) else run.inner_score, default=None
    )

"""How long a plan will take, stage by stage: what the stages will make times what it costs here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from backend.config import RunConfig
from backend.training.calibration import MAP_FRUIT, seconds_of_maps
from backend.training.costs import Costs, Work
from backend.training.executor import Executor
from backend.training.plan import STAGE_FIELDS, Plan
from backend.training.prepare import PreparedStudy
from backend.training.stages.expected import EXPECTED, Outlook, expected_method

RESERVE = 0.03
"""Share of a budget that is kept for each stage whose time nobody has measured yet, ..."""
LONGEST = (40.0, 0.02)
"""... but no more than so many seconds, and so many for each fruit: such stages grow with the data alone."""


MAPPED_RUNS = 2
"""The best baseline and the best pretraining."""


@dataclass(frozen=True)
class Forecast:
    """Expects the seconds of any plan of a study.

    Attributes:
        outlook: the study, with the plan that was asked for.
        costs: of folds on this machine.
        reserve: seconds kept for each stage whose time nobody has measured yet, ...
        maps: ... and for the maps beside it.
    """

    outlook: Outlook
    costs: Costs
    reserve: float = 0.0
    maps: float = 0.0

    def works(self, plan: Plan, stage: str) -> list[Work]:
        """What a stage (a field of the plan) would make; none where it makes no runs."""
        expected = EXPECTED.get(stage)
        return [] if expected is None else expected(replace(self.outlook, plan=plan))

    def timed(self, works: Iterable[Work]) -> list[tuple[Work, float]]:
        """Each work of a stage with its share of the time of those that are handed out together with it."""
        groups: dict[object, list[Work]] = {}
        for work in works:
            # Runs of one kind are, whatever their sensors, labels and seeds; batches wait for each other.
            key = work if work.batch else (work.config.kind, work.config.purpose, work.config.method.name)
            groups.setdefault(key, []).append(work)
        found = []
        for group in groups.values():
            alone = [self.costs.seconds(work) for work in group]
            scale = self.costs.seconds(*group) / sum(alone) if any(alone) else 0.0
            found += [(work, scale * seconds) for work, seconds in zip(group, alone, strict=True)]
        return found

    def stage_seconds(self, plan: Plan, stage: str) -> float:
        """Seconds of one stage."""
        if stage in EXPECTED:
            return sum(seconds for _, seconds in self.timed(self.works(plan, stage)))
        unknown = self.reserve + (self.maps if stage == "projections" else 0.0)
        return self.costs.stages.get(stage, unknown) if self._enabled(plan, stage) else 0.0

    @staticmethod
    def _enabled(plan: Plan, stage: str) -> bool:
        return bool(getattr(plan, stage).enabled)

    def seconds(self, plan: Plan, stages: tuple[str, ...] = STAGE_FIELDS) -> float:
        """Seconds of these stages together."""
        return sum(self.stage_seconds(plan, stage) for stage in stages)

    def fold_seconds(self, config: RunConfig) -> float:
        """Seconds of one fold; 0 where its shape could not be measured."""
        return self.costs.fold_seconds(config)

    def search_seconds(self, plan: Plan) -> float:
        """Seconds of the search alone."""
        works = self.works(plan, "baseline")
        return sum(
            seconds for _, seconds in self.timed(work for work in works if work.config.purpose == "tune")
        )

    def method_seconds(self, plan: Plan, name: str) -> float:
        """Seconds of one pretraining method."""
        works = expected_method(replace(self.outlook, plan=plan), name)
        return sum(seconds for _, seconds in self.timed(works))

    def table(self, plan: Plan) -> dict[str, Any]:
        """Every portion of work with its seconds, the sum, and the stages of which nothing is known."""
        rows: list[dict[str, Any]] = [
            {
                "stage": stage,
                "what": work.what,
                "runs": work.runs,
                "folds": work.folds,
                "epochs": work.config.optim.epochs if work.config.kind != "probe" else 0,
                "seconds": round(seconds, 1),
            }
            for stage in STAGE_FIELDS
            for work, seconds in self.timed(self.works(plan, stage))
            if work.runs
        ]
        others = [stage for stage in STAGE_FIELDS if stage not in EXPECTED and self._enabled(plan, stage)]
        rows += [
            {"stage": stage, "what": "", "runs": 0, "folds": 0, "epochs": 0, "seconds": round(seconds, 1)}
            for stage in others
            if (seconds := self.costs.stages.get(stage))
        ]
        return {
            "works": rows,
            "seconds": round(sum(row["seconds"] for row in rows), 1),
            "unknown": [stage for stage in others if stage not in self.costs.stages],
        }


def make_forecast(
    study: PreparedStudy,
    executor: Executor,
    costs: Costs,
    budget: float | None = None,
    parameters: Mapping[str, Any] = MappingProxyType({}),
    stages: tuple[str, ...] = STAGE_FIELDS,
) -> Forecast:
    """A forecast for a study; whatever shape of its plan is not measured yet is measured now.

    Args:
        study: the study.
        executor: measures on the workers that will train.
        costs: what is known already; it is added to.
        budget: seconds for the whole study, of which unknown stages get a share each.
        parameters: of the baseline, once the search has chosen.
        stages: fields of the plan that are still to come.
    """
    context = study.context
    folds = len(np.unique(context.folds[context.folds >= 0]))
    outlook = Outlook(study.plan, context.dataset, study.modalities, folds, study.seed, dict(parameters))
    base, per_fruit = LONGEST
    reserve = min(RESERVE * (budget or 0.0), base + per_fruit * len(context.dataset))
    maps = 0.0
    if budget is not None and study.plan.projections.enabled:
        once = seconds_of_maps(study.plan.projections.perplexities, study.plan.threads)
        maps = MAPPED_RUNS * once * max(1.0, len(context.dataset) / MAP_FRUIT)
    forecast = Forecast(outlook, costs, reserve, maps)
    works = [work for stage in stages for work in forecast.works(study.plan, stage)]
    costs.calibrate(executor, works, context)
    return forecast

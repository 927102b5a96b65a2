"""A time budget: a plan scaled so that it ends when it has to.

Before each stage, the time that is left is compared with what the rest of the plan is expected to take; where
that is more, trials and epochs shrink, then ablations, seeds and methods go, the least painful cut first. A
final result of the baseline and the explanations always keep their share. Every decision is stored with the
study when it is made, so that a resumed study makes the very same runs. Where a stage takes longer than
expected, its last folds are not started.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from backend.config import MethodConfig, RunConfig
from backend.errors import ConfigError
from backend.fields import from_dict
from backend.training.plan import STAGE_FIELDS, Plan

if TYPE_CHECKING:  # knows torch; this module does not, so that a wrong --budget is refused at once
    from backend.training.forecast import Forecast

FLOOR = 0.4
"""Trials and epochs shrink to this share of the plan before anything is dropped for it."""
LEAST = 0.05
"""The last resort: final runs shrink to this share of their epochs."""
FEWEST = 2
"""Methods that stay as long as any do: a reference, and one to compare with it."""
ROOM = 0.98
"""Share of the time left that is planned with: what was measured is never quite what it takes."""
SUPERVISED = MethodConfig().name
"""The partner of every pretraining method, and none itself."""
LAST = ("explanations", "projections", "data_report")
"""Stages that always keep their share."""
SWITCHES = {
    "pretraining": "methods",
    "pretraining_sets": "method",
    "augmentations": "method",
    "input_ablation": "enabled",
}
"""Stages that a cut may drop to the setting that is empty then; what their others say is of no interest."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str, option: str) -> float:
    """Seconds of ``8h``, ``90m``, ``3600s`` or ``1h30m``; a number alone may mean anything.

    Raises:
        ConfigError: no duration above 0, or one without its unit.
    """
    text = text.strip().lower()
    whole = re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text)
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text) if whole else []
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if seconds <= 0:
        raise ConfigError(
            repr(text),
            where=option,
            expected="a duration with its unit, such as 8h, 90m or 3600s",
            action="correct it",
        )
    return seconds


def change(plan: Plan, stage: str, **values: object) -> Plan:
    """The plan with other settings of one stage."""
    return replace(plan, **{stage: replace(getattr(plan, stage), **values)})


def drop_method(plan: Plan) -> Plan:
    """The plan without its last pretraining method, down to the ``FEWEST``."""
    methods = plan.pretraining.methods
    return change(plan, "pretraining", methods=methods[: max(FEWEST, len(methods) - 1)])


def halve_searches(plan: Plan) -> Plan:
    """The plan with half the trials, on one fold: what nobody searched for has defaults that are known."""
    trials, methods = plan.baseline.trials, plan.pretraining.trials
    plan = change(plan, "baseline", trials=max(1, trials // 2), tune_folds=1)
    return change(plan, "pretraining", trials=methods // 2, tune_folds=1)


def ends(fractions: tuple[float, ...]) -> tuple[float, ...]:
    """The least and the most labels."""
    return tuple(sorted({min(fractions), max(fractions)}))


Cut = Callable[[Plan], Plan]

CUTS: tuple[Cut, ...] = (
    lambda plan: plan,
    lambda plan: change(plan, "augmentations", pairs=False),
    lambda plan: change(plan, "pretraining_sets", seeds=plan.pretraining_sets.seeds[:1]),
    lambda plan: change(plan, "augmentations", leave_one_out=False, strengths=()),
    lambda plan: change(plan, "pretraining", pretrainings=1, seeds=plan.pretraining.seeds[:2]),
    lambda plan: change(plan, "pretraining_sets", selections=("all",)),
    lambda plan: change(plan, "input_ablation", seeds=plan.input_ablation.seeds[:1]),
    lambda plan: change(plan, "augmentations", seeds=plan.augmentations.seeds[:1]),
    lambda plan: change(plan, "input_ablation", pretrained=False),
    halve_searches,
    drop_method,
    drop_method,
    lambda plan: replace(plan, seeds=plan.seeds[:2]),
    halve_searches,
    lambda plan: change(plan, "pretraining_sets", method=""),
    lambda plan: change(plan, "augmentations", confirm=0),
    lambda plan: change(plan, "augmentations", method=""),
    lambda plan: change(plan, "pretraining", seeds=plan.pretraining.seeds[:1]),
    drop_method,
    drop_method,
    lambda plan: change(plan, "input_ablation", enabled=False),
    *([drop_method] * 16),
    lambda plan: change(plan, "pretraining", fractions=ends(plan.pretraining.fractions)),
    lambda plan: replace(plan, seeds=plan.seeds[:1]),
    lambda plan: change(plan, "pretraining", methods=()),
)
"""From the least to the most painful; each is made on top of those before it."""


def _cut(plan: Plan, cuts: tuple[Cut, ...]) -> Plan:
    for cut in cuts:
        plan = cut(plan)
    return plan


def shrink(plan: Plan, factor: float) -> Plan:
    """Fewer trials and epochs, 0 < factor <= 1; short finals hurt more, so they shrink less."""
    baseline, milder = plan.baseline, factor**0.5
    plan = change(
        plan,
        "baseline",
        trials=_share(baseline.trials, factor),
        tune_epochs=_share(baseline.tune_epochs, milder),
        epochs=_share(baseline.epochs, milder),
        min_steps=round(baseline.min_steps * milder),
    )
    trials = round(plan.pretraining.trials * factor)
    plan = change(plan, "pretraining", epochs=_share(plan.pretraining.epochs, factor), trials=trials)
    plan = change(plan, "pretraining_sets", epochs=_share(plan.pretraining_sets.epochs, factor))
    return change(plan, "augmentations", epochs=_share(plan.augmentations.epochs, factor))


def _share(count: int, factor: float) -> int:
    return max(1, round(count * factor))


def differences(asked: Plan, plan: Plan) -> list[str]:
    """What of a plan was cut, for people: ``baseline.trials: 9 instead of 24``."""
    before, after = _flat(asdict(asked)), _flat(asdict(plan))
    off = {stage: f"{stage}.{switch}" for stage, switch in SWITCHES.items() if not after[f"{stage}.{switch}"]}
    return [
        f"{name}: {_words(after[name])} instead of {_words(value)}"
        for name, value in before.items()
        if after[name] != value and off.get(name.partition(".")[0], name) == name
    ]


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = value if isinstance(value, dict) else None
        flat |= {name: value} if inner is None else {f"{name}.{key}": item for key, item in inner.items()}
    return flat


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value) or "none"
    return str(value) or "none"


class Budget:
    """Says what each stage may do; without a limit, all that the plan asks for.

    Args:
        asked: the plan as the user wants it.
        seconds: until the study has to end; None = no limit.
        kept: the ``state`` of an earlier session of the study.
        save: told the ``state`` whenever something was decided.
        begun: when this session began, on the clock of ``time.monotonic``; None = now.
    """

    def __init__(
        self,
        asked: Plan,
        seconds: float | None = None,
        *,
        kept: dict[str, Any] | None = None,
        save: Callable[[dict[str, Any]], None] = lambda state: None,
        begun: float | None = None,
    ) -> None:
        kept = kept or {}
        self.asked, self.limit = asked, seconds
        self.plan = from_dict(Plan, kept["plan"]) if "plan" in kept else asked
        self.decided: list[str] = list(kept.get("decided", ()))
        self._begun: dict[str, float] = dict(kept.get("begun", {}))
        self._search_seconds = float(kept.get("search_seconds", 0.0))
        self._trials: int | None = kept.get("trials")
        self._before = float(kept.get("spent", 0.0))
        self._started = time.monotonic() if begun is None else begun
        self._save = save
        self.forecast: Forecast | None = None

    @property
    def resumed(self) -> bool:
        """Whether an earlier session of the study has done some of the work."""
        return self._before > 0

    @property
    def spent(self) -> float:
        """Seconds that the study has run, earlier sessions included."""
        return self._before + time.monotonic() - self._started

    @property
    def cuts(self) -> list[str]:
        """What was cut so far, for people."""
        return differences(self.asked, self.plan)

    @property
    def state(self) -> dict[str, Any]:
        """Everything that a later session needs to make the same runs."""
        return {
            "seconds": self.limit,
            "spent": self.spent,
            "decided": self.decided,
            "begun": self._begun,
            "search_seconds": self._search_seconds,
            "trials": self._trials,
            "plan": asdict(self.plan),
        }

    def plan_for(self, stage: str) -> Plan:
        """The plan as it holds from this stage (a field of the plan) on; decided once and stored."""
        if self.limit is None or self.forecast is None or stage in self.decided:
            return self.plan
        rest = STAGE_FIELDS[STAGE_FIELDS.index(stage) :]
        self.plan = self._fit(rest, ROOM * (self.limit - self.spent))
        if stage == "baseline":
            self._search_seconds = self.forecast.search_seconds(self.plan)
            if self.plan == self.asked:  # the time that nobody needs is the search's, should it be slow
                self._search_seconds += self.limit - self.spent - self.forecast.seconds(self.plan, rest)
        self.decided.append(stage)
        self._begun[stage] = self.spent
        self._save(self.state)
        return self.plan

    def _fit(self, rest: tuple[str, ...], seconds: float) -> Plan:
        """The largest plan whose stages ``rest`` are expected to end within ``seconds``."""
        for count in range(1, len(CUTS) + 1):
            made = CUTS[:count]
            if self._fits(shrink(_cut(self.asked, made), FLOOR), rest, seconds):
                break
        else:
            return self._largest(_cut(self.asked, made), rest, seconds, LEAST)
        # The cut that made it fit may have freed more than was missing: the others are taken back where
        # they can be, the most painful first.
        for cut in reversed(range(count)):
            fewer = (*made[:cut], *made[cut + 1 :])
            if self._fits(shrink(_cut(self.asked, fewer), FLOOR), rest, seconds):
                made = fewer
        return self._largest(_cut(self.asked, made), rest, seconds, FLOOR)

    def _fits(self, plan: Plan, rest: tuple[str, ...], seconds: float) -> bool:
        assert self.forecast is not None
        return self.forecast.seconds(self._held(plan), rest) <= seconds

    def _held(self, plan: Plan) -> Plan:
        """``plan``, but what stages that have begun were told stays."""
        fields = [*self.decided, *(["seeds"] if self.decided else [])]
        return replace(plan, **{name: getattr(self.plan, name) for name in fields})

    def _largest(self, plan: Plan, rest: tuple[str, ...], seconds: float, low: float) -> Plan:
        """``plan`` shrunk as little as fits, by bisection; by ``low`` where nothing does."""
        high = 1.0
        if self._fits(plan, rest, seconds):
            return self._held(plan)
        for _ in range(12):
            middle = (low + high) / 2
            fits = self._fits(shrink(plan, middle), rest, seconds)
            low, high = (middle, high) if fits else (low, middle)
        return self._held(shrink(plan, low))

    @property
    def trials(self) -> int:
        """Most trials of the search: with a limit, the time decides and not the number."""
        if self.limit is None or self._trials is not None:
            return self.plan.baseline.trials
        return self.asked.baseline.trials

    def search_is_over(self, done: int) -> bool:
        """Whether the search has used its share of the time; asked after each generation."""
        if self.limit is None or self.forecast is None:
            return False
        if self._trials is None:
            used = self.spent - self._begun["baseline"]
            if used * (1 + 0.5 * self.plan.baseline.generation / done) < self._search_seconds:
                return False
            self._trials = done
            self.plan = change(self.plan, "baseline", trials=done)
            self._save(self.state)
        return done >= self._trials

    def may_start(self, config: RunConfig) -> bool:
        """Whether a fold of ``config`` ends early enough for what always keeps its share.

        Searches go on whatever the time, for they have a limit of their own, and so does the first final run
        of the baseline.
        """
        first = config.kind == "baseline" and config.purpose == "final" and config.seed == self.plan.seeds[0]
        return first or config.purpose == "tune" or self.ends_in_time(config)

    def ends_in_time(self, config: RunConfig) -> bool:
        """Whether a fold of ``config`` that starts now leaves the stages that always keep it their time."""
        if self.limit is None or self.forecast is None:
            return True
        end = self.spent + self.forecast.fold_seconds(config)
        return end <= self.limit - self.forecast.seconds(self.plan, LAST)

    def affordable(self, methods: tuple[str, ...]) -> Iterator[str]:
        """The pretraining methods for which there is time, one after the other; the ``FEWEST`` always.

        Where the planned ones took less than expected, those that had been cut come back.
        """
        for number, name in enumerate(methods):
            begun = f"pretraining {name}" in self._begun
            if number >= FEWEST and not begun and not self._has_time_for(name, squeezed=True):
                self._set_methods(tuple(other for other in self.plan.pretraining.methods if other != name))
            else:
                yield self._begin(name)
        cut = [name for name in self.asked.pretraining.methods if name not in self.plan.pretraining.methods]
        for name in cut if methods and self.limit is not None else ():
            if name != SUPERVISED and self._has_time_for(name, squeezed=False):
                self._set_methods((*self.plan.pretraining.methods, name))
                yield self._begin(name)

    def _begin(self, name: str) -> str:
        self._begun.setdefault(f"pretraining {name}", self.spent)
        if self.limit is not None:
            self._save(self.state)
        return name

    def _set_methods(self, methods: tuple[str, ...]) -> None:
        self.plan = change(self.plan, "pretraining", methods=methods)
        self._save(self.state)

    def _has_time_for(self, method: str, *, squeezed: bool) -> bool:
        """Whether a method and what follows it, as planned or as small as it gets, end in time."""
        if self.limit is None or self.forecast is None:
            return True
        later = STAGE_FIELDS[STAGE_FIELDS.index("pretraining") + 1 :]
        rest = self.forecast.seconds(self._fit(later, 0.0) if squeezed else self.plan, later)
        return self.spent + self.forecast.method_seconds(self.plan, method) + rest <= self.limit

"""The configuration that becomes final: what the search found has to win at full length too."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from backend.store.rows import COMPLETE
from backend.training.driver import RunResult
from backend.training.plan import load_plan
from backend.training.search import baseline_config, default_parameters
from backend.training.stages.baseline import _confirmed

PLAN = load_plan("quick")
FIRST = default_parameters(PLAN, SimpleNamespace(modalities={"rgb": ("1",)}), ("rgb",))
FOUND = {**FIRST, "learning_rate": 8e-3}
CONFIGURE = partial(baseline_config, plan=PLAN, modalities=("rgb",), seed=0, split_seed=0)


class Judge:
    """A driver that scores the second of two runs by what it was told."""

    outer_folds = (0, 1, 2)

    def __init__(self, lead: float, first: str = COMPLETE, second: str = COMPLETE) -> None:
        self.scores = ((0.5, first), (0.5 + lead, second))
        self.asked = []

    def run(self, configs, *, folds):
        self.asked += [(config, folds) for config in configs]
        return [
            RunResult("run", config, status, score, 0.1, ())
            for config, (score, status) in zip(configs, self.scores, strict=True)
        ]


def confirm(judge: Judge, found=FOUND, plan=PLAN):
    return _confirmed(SimpleNamespace(plan=plan, driver=judge), CONFIGURE, FIRST, found)


@pytest.mark.parametrize(
    ("lead", "chosen"), [(0.11, FOUND), (0.09, FIRST), (-0.2, FIRST), (float("nan"), FIRST)]
)
def test_what_was_found_has_to_win_at_full_length_by_more_than_a_standard_error(lead, chosen):
    judge = Judge(lead)
    assert confirm(judge) == chosen
    assert [config.optim.learning_rate for config, _ in judge.asked] == [FIRST["learning_rate"], 8e-3]
    for config, folds in judge.asked:
        assert config.optim.epochs == PLAN.baseline.epochs
        assert config.optim.min_steps == PLAN.baseline.min_steps
        assert config.purpose == "tune"  # never shown its test fruit
        assert folds == (0,)


def test_nothing_is_run_where_the_first_trial_was_the_best():
    judge = Judge(1.0)
    assert confirm(judge, dict(FIRST)) == FIRST
    assert judge.asked == []


def test_trials_of_full_length_need_no_confirmation():
    judge = Judge(-1.0)
    length = replace(PLAN.baseline, tune_epochs=PLAN.baseline.epochs)
    assert confirm(judge, plan=replace(PLAN, baseline=length)) == FOUND
    assert judge.asked == []


def test_a_run_that_fails_is_not_chosen():
    assert confirm(Judge(0.3, second="failed")) == FIRST
    assert confirm(Judge(-0.3, first="failed")) == FOUND
    assert confirm(Judge(0.3, first="failed", second="failed")) == FIRST

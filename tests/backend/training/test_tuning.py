import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from backend.config import OptimConfig, RunConfig
from backend.errors import ConfigError
from backend.store.rows import COMPLETE
from backend.training.driver import RunResult
from backend.training.tuning import open_storage, prune_floor, tune

NAME = "plan-1/baseline"


class FakeDriver:
    """Scores a run by its learning rate; the best is 0.01."""

    study_seed = 5

    def __init__(self, fail: int = -1, error: float = 0.0, study_id: str = "plan-1") -> None:
        self.study_id = study_id
        self.error = error
        self.generations: list[int] = []
        self.rates: list[float] = []
        self.floors: list[tuple[float, ...]] = []
        self.fail = fail

    def run(self, configs, *, folds, prune_floor):
        self.generations.append(len(configs))
        self.floors.append(prune_floor)
        results = []
        for config in configs:
            rate = config.optim.learning_rate
            score = 1 - abs(np.log10(rate) + 2) / 3
            status = "failed" if len(self.rates) == self.fail else "complete"
            self.rates.append(rate)
            curve = (score / 2, score * 0.9, score)
            results.append(RunResult("run", config, status, score, self.error, curve))
        return results


def search(driver, storage, trials=8, **fields):
    return tune(
        driver,
        storage,
        "baseline",
        suggest=lambda trial: {"rate": trial.suggest_float("rate", 1e-5, 1.0, log=True)},
        configure=lambda values: RunConfig(optim=OptimConfig(learning_rate=values["rate"])),
        first={"rate": 0.5},
        trials=trials,
        generation=3,
        folds=(0,),
        **fields,
    )


def memory() -> optuna.storages.BaseStorage:
    return optuna.storages.InMemoryStorage()


def test_the_best_of_all_trials_is_returned_and_the_first_is_the_given_one():
    driver = FakeDriver()
    best = search(driver, memory())
    assert driver.generations == [3, 3, 2]
    assert driver.rates[0] == 0.5
    assert best["rate"] == min(driver.rates, key=lambda rate: abs(np.log10(rate) + 2))


def test_the_second_trial_may_be_given_too_and_the_rest_is_asked_as_without():
    plain, driver = FakeDriver(), FakeDriver()
    search(plain, memory())
    search(driver, memory(), second={"rate": 0.02})
    assert driver.rates[:2] == [0.5, 0.02]
    assert driver.rates[2] == plain.rates[2]


@pytest.mark.parametrize(("error", "stays"), [(0.05, False), (0.9, True)])
def test_the_first_trial_stays_unless_beaten_by_more_than_the_standard_error(error, stays):
    driver = FakeDriver(error=error)
    assert (search(driver, memory())["rate"] == 0.5) is stays


def test_what_else_a_plan_holds_does_not_change_what_is_asked():
    one, other = FakeDriver(), FakeDriver(study_id="plan-2")
    storage = memory()
    assert search(one, storage) == search(other, storage)
    assert one.rates == other.rates


def test_a_search_can_be_repeated_and_resumed(tmp_path):
    whole = FakeDriver()
    search(whole, memory())
    parts = FakeDriver()
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    search(parts, open_storage(url), trials=3)
    search(parts, open_storage(url), trials=8)
    assert parts.rates == whole.rates


def test_a_driver_that_dies_leaves_nothing_running_and_is_asked_the_same_again(tmp_path):
    url = f"sqlite:///{tmp_path / 'optuna.db'}"

    class Dying(FakeDriver):
        def run(self, configs, **fields):
            if len(self.generations) == 1:
                self.asked = [config.optim.learning_rate for config in configs]
                raise KeyboardInterrupt
            return super().run(configs, **fields)

    dying = Dying()
    with pytest.raises(KeyboardInterrupt):
        search(dying, open_storage(url))
    states = [trial.state for trial in optuna.load_study(study_name=NAME, storage=url).trials]
    assert states == [TrialState.COMPLETE] * 3
    heir = FakeDriver()
    search(heir, open_storage(url))
    assert heir.rates[:3] == dying.asked


@pytest.mark.parametrize("told", [1, 2, 4, 5])
def test_a_driver_that_dies_while_it_tells_a_generation_is_asked_the_same_again(tmp_path, told, monkeypatch):
    whole = FakeDriver()
    search(whole, memory())
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    add, added = optuna.Study.add_trial, []

    def dies(study, trial):
        if study.study_name == NAME:
            if len(added) == told:
                raise KeyboardInterrupt
            added.append(trial)
        add(study, trial)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(optuna.Study, "add_trial", dies)
        search(FakeDriver(), open_storage(url))
    assert len(optuna.load_study(study_name=NAME, storage=url).trials) == told
    assert search(FakeDriver(), open_storage(url)) == search(FakeDriver(), memory())
    rates = [trial.params["rate"] for trial in optuna.load_study(study_name=NAME, storage=url).trials]
    assert rates == whole.rates


def test_a_trial_that_two_drivers_tell_at_the_same_moment_counts_once(monkeypatch):
    whole = FakeDriver()
    best = search(whole, memory())
    add = optuna.Study.add_trial

    def twice(study, trial):
        add(study, trial)
        if study.study_name == NAME:
            add(study, trial)

    monkeypatch.setattr(optuna.Study, "add_trial", twice)
    driver = FakeDriver()
    assert search(driver, memory()) == best
    assert driver.rates == whole.rates


class Judge(FakeDriver):
    """Scores trials as they come; what runs at full length by what it was told."""

    def __init__(self, lead: float, first: str = COMPLETE, found: str = COMPLETE) -> None:
        super().__init__()
        self.confirmed: list[RunConfig] = []
        self.at_length = ((0.5, first), (0.5 + lead, found))

    def run(self, configs, *, folds, prune_floor=()):
        if not any(config.label for config in configs):
            return super().run(configs, folds=folds, prune_floor=prune_floor)
        assert folds == (0,)
        self.confirmed += configs
        return [
            RunResult("run", config, status, score, 0.1, ())
            for config, (score, status) in zip(configs, self.at_length, strict=True)
        ]


def full_length(values):
    return RunConfig(purpose="final", optim=OptimConfig(learning_rate=values["rate"], epochs=77))


@pytest.mark.parametrize(
    ("lead", "wins"), [(0.11, True), (0.09, False), (-0.2, False), (float("nan"), False)]
)
def test_what_was_found_has_to_win_at_full_length_by_more_than_a_standard_error(lead, wins):
    judge = Judge(lead)
    found = search(FakeDriver(), memory())
    assert search(judge, memory(), at_length=full_length) == (found if wins else {"rate": 0.5})
    assert [run.optim.learning_rate for run in judge.confirmed] == [0.5, found["rate"]]
    for run in judge.confirmed:
        assert run.optim.epochs == 77
        assert run.purpose == "tune", "its test fruit stay unseen"


def test_nothing_is_confirmed_where_the_first_trial_stays_or_trials_are_of_full_length():
    judge = Judge(-1.0)
    search(judge, memory())
    judge.error = 0.9
    search(judge, memory(), at_length=full_length)
    assert judge.confirmed == []


def test_a_run_that_fails_is_not_chosen():
    found = search(FakeDriver(), memory())
    first = {"rate": 0.5}
    assert search(Judge(0.3, found="failed"), memory(), at_length=full_length) == first
    assert search(Judge(-0.3, first="failed"), memory(), at_length=full_length) == found
    assert search(Judge(0.3, first="failed", found="failed"), memory(), at_length=full_length) == first


def test_a_failed_trial_does_not_end_the_search():
    storage = memory()
    search(FakeDriver(fail=1), storage)
    states = [trial.state for trial in optuna.load_study(study_name=NAME, storage=storage).trials]
    assert states.count(TrialState.FAIL) == 1
    assert states.count(TrialState.COMPLETE) == 7


def test_pruning_compares_with_earlier_generations_only():
    driver = FakeDriver()
    search(driver, memory(), trials=9)
    assert driver.floors[0] == ()
    assert driver.floors[1] == ()  # three have ended: too few
    assert len(driver.floors[2]) == 3
    assert driver.floors[2][0] == -np.inf  # the first half is never pruned
    ended = [1 - abs(np.log10(rate) + 2) / 3 for rate in driver.rates[:6]]
    assert driver.floors[2][2] == pytest.approx(np.median(ended))


def test_the_floor_is_of_the_best_so_far():
    trial = optuna.trial.create_trial(value=0.5, intermediate_values={1: 0.5, 2: 0.1, 3: 0.2})
    assert prune_floor([trial] * 4) == (-np.inf, 0.5, 0.5)


def test_an_early_stop_keeps_what_there_is():
    driver = FakeDriver()
    search(driver, memory(), trials=100, stop=lambda done: True)
    assert driver.generations == [3]


def test_a_database_that_cannot_be_opened_is_named():
    with pytest.raises(ConfigError, match="--storage"):
        open_storage("postgresql://127.0.0.1:1/none")

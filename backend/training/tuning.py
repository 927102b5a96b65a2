"""Optuna by ask and tell, so that the search can be repeated.

Trials are asked in generations of a fixed size and told in order; the sampler is seeded anew for every
trial from (study seed, what is searched, trial number). So neither the number of workers, nor their order,
nor an interruption, nor what else the plan holds changes what is asked. Pruning follows the same rule: the
floor under a trial is the median of the generations before it (the median stopping rule of Golovin et al.
2017), never of trials that happen to run beside it.

Trials may be shorter than what they choose for. What they find then has to win once more at full length.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from backend.config import RunConfig, derive_seed
from backend.errors import ConfigError
from backend.store.rows import COMPLETE, PRUNED
from backend.training.driver import Driver, RunResult
from backend.training.inner_score import clearly_better

STARTUP_TRIALS = 6
"""Random trials before the Parzen estimator takes over."""
PRUNE_AFTER = 4
"""Trials that must have ended before any can be pruned."""
CONFIRMATION = "at full length"
"""Label of a run that confirms a trial; such runs are not trials themselves."""

Suggest = Callable[[optuna.Trial], dict[str, Any]]
Configure = Callable[[dict[str, Any]], RunConfig]


def open_storage(url: str) -> optuna.storages.BaseStorage:
    """Optuna's storage at a database URL; ``postgresql://`` means psycopg 3, the driver that is required.

    Raises:
        ConfigError: the database cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.storages.RDBStorage(re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url))
    except Exception as error:  # drivers and SQLAlchemy raise many types
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            reason, where="--storage", expected="a database that Optuna can open", action="check its URL"
        ) from error


def forget_searches(url: str, study_id: str) -> None:
    """Forget the searches of a study: trials whose runs are in no store."""
    storage = open_storage(url)
    for name in optuna.study.get_all_study_names(storage):
        if name.startswith(f"{study_id}/"):
            optuna.delete_study(study_name=name, storage=storage)


def tune(
    driver: Driver,
    storage: optuna.storages.BaseStorage,
    searched: str,
    *,
    suggest: Suggest,
    configure: Configure,
    first: dict[str, Any],
    second: dict[str, Any] | None = None,
    trials: int,
    generation: int,
    folds: tuple[int, ...],
    stop: Callable[[int], bool] = lambda done: False,
    at_length: Configure | None = None,
) -> dict[str, Any]:
    """Search for the parameters with the best inner-validation MCC.

    Args:
        driver: runs the trials.
        storage: Optuna's.
        searched: ``"baseline"`` or a method; Optuna's study is ``<study_id>/<searched>``, and one that
            exists is continued.
        suggest: asks a trial for its parameters.
        configure: turns parameters into a trial.
        first: parameters of the first trial; they are chosen unless others are clearly better.
        second: parameters of the second trial; None = it is asked like all others.
        trials: how many in all.
        generation: how many are asked before any is told.
        folds: outer folds whose inner validation scores a trial.
        stop: told the trials done, between generations; True ends the search early.
        at_length: turns parameters into a run as long as what they are chosen for; None = trials are.

    Returns:
        The chosen parameters.

    Raises:
        ConfigError: not one trial finished.
    """
    study = _opened(storage, f"{driver.study_id}/{searched}", trials)
    seed = derive_seed(driver.study_seed, "sampler", searched)
    given = [first] if second is None else [first, second]
    while (done := len(ended := _told(study))) < trials and not (done and stop(done)):
        # A driver that died while it told a generation has left the rest of it: the same trials, asked again.
        ended = ended[: done - done % generation]
        asked = _ask(ended, suggest, given, seed, min(generation, trials - len(ended)))
        configs = [configure(parameters) for _, parameters in asked]
        results = driver.run(configs, folds=folds, prune_floor=prune_floor(ended))
        told = len(_told(study))
        for place, ((trial, parameters), result) in enumerate(zip(asked, results, strict=True), len(ended)):
            if place >= told:
                study.add_trial(_ended_trial(place, trial, parameters, result))
    finished = [trial for trial in _told(study) if trial.state == TrialState.COMPLETE]
    if not finished:
        raise ConfigError(
            f"none of {trials} trials finished",
            where=f"search of {searched}",
            expected="at least one",
            action="see the failed runs for the reasons",
        )
    chosen = _chosen(finished)
    found = dict(chosen.user_attrs["parameters"])
    if at_length is None or chosen.number == 0:
        return found
    return found if _confirmed(driver, [at_length(first), at_length(found)], folds) else first


def _opened(storage: optuna.storages.BaseStorage, name: str, trials: int) -> optuna.Study:
    """The search of that name, begun anew where an earlier one ended without a single result.

    What made every trial fail may have passed (a full GPU, workers out of memory), and failed runs are
    trained again; told trials would not be.
    """
    study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    told = _told(study)
    if len(told) < trials or any(trial.state == TrialState.COMPLETE for trial in told):
        return study
    optuna.delete_study(study_name=name, storage=storage)
    return optuna.create_study(study_name=name, storage=storage, direction="maximize")


def _told(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have ended, in the order in which they were asked.

    Another driver of this study asks the very same trials; one that two of them told at the same moment
    counts once.
    """
    trials: dict[int, FrozenTrial] = {}
    for trial in study.get_trials(deepcopy=False):
        trials.setdefault(trial.user_attrs.get("place", trial.number), trial)
    return [trials[place] for place in sorted(trials)]


def _chosen(finished: list[FrozenTrial]) -> FrozenTrial:
    """The best trial, or the first one unless the best is clearly better."""
    best = max(finished, key=lambda trial: (_value(trial), -trial.number))
    first = finished[0]
    stays = first.number == 0 and not clearly_better(
        _value(best), _value(first), best.user_attrs.get("error", 0.0)
    )
    return first if stays else best


def _confirmed(driver: Driver, runs: list[RunConfig], folds: tuple[int, ...]) -> bool:
    """Whether what the search has found also beats its first trial where both train as long as finals do.

    Short trials prefer what learns fast: on the strawberries a high rate and balanced classes lead by .06 MCC
    after 8 epochs and are .05 behind after 36. So two are left for the whole length, as in successive
    halving (Jamieson and Talwalkar 2016), and judged by inner validation as trials are.
    """
    first, found = driver.run([replace(run, purpose="tune", label=CONFIRMATION) for run in runs], folds=folds)
    if found.status != COMPLETE or not np.isfinite(found.inner_score):
        return False
    return first.status != COMPLETE or clearly_better(found.inner_score, first.inner_score, found.inner_error)


def _value(trial: FrozenTrial) -> float:
    return -1.0 if trial.value is None else trial.value


def _ask(
    ended: list[FrozenTrial],
    suggest: Suggest,
    given: list[dict[str, Any]],
    seed: int,
    size: int,
) -> list[tuple[optuna.Trial, dict[str, Any]]]:
    """The generation of trials after those that have ended, asked of a copy of the study in memory.

    Only ended trials ever reach the storage, so a driver that dies leaves nothing running behind, and the
    next one asks the very same trials again.
    """
    copy = optuna.create_study(direction="maximize")
    copy.add_trials(ended)
    for parameters in given[len(ended) :]:
        copy.enqueue_trial(parameters)
    asked = []
    for index in range(size):
        copy.sampler = optuna.samplers.TPESampler(
            seed=derive_seed(seed, len(ended), index),
            n_startup_trials=STARTUP_TRIALS,
        )
        trial = copy.ask()
        asked.append((trial, suggest(trial)))
    return asked


def _ended_trial(
    place: int, trial: optuna.Trial, parameters: dict[str, Any], result: RunResult
) -> FrozenTrial:
    """The trial as the storage keeps it: its place among all, its parameters, its epochs, its end."""
    complete = result.status == COMPLETE and np.isfinite(result.inner_score)
    state = TrialState.PRUNED if result.status == PRUNED else TrialState.FAIL
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE if complete else state,
        value=result.inner_score if complete else None,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={
            "place": place,
            "parameters": parameters,
            "run_id": result.run_id,
            "error": result.inner_error,
        },
        intermediate_values=dict(enumerate(result.curve, start=1)),
    )


def prune_floor(trials: list[FrozenTrial]) -> tuple[float, ...]:
    """The median over earlier trials of the best score up to each epoch; empty while there are too few.

    The first half of the epochs is never pruned: warm-up says little about the end.
    """
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.intermediate_values]
    if len(finished) < PRUNE_AFTER:
        return ()
    longest = max(max(trial.intermediate_values) for trial in finished)
    best = np.full((len(finished), longest), -np.inf)
    for row, trial in enumerate(finished):
        for epoch, value in trial.intermediate_values.items():
            best[row, epoch - 1] = value
    best = np.maximum.accumulate(best, axis=1)
    floor = np.median(best, axis=0)
    floor[: longest // 2] = -np.inf
    return tuple(floor.tolist())

"""Optuna by ask and tell, so that the search can be repeated.

Trials are asked in generations of a fixed size and told in order; the sampler is seeded anew for every
trial from (study seed, trial number). So neither the number of workers, nor their order, nor an
interruption changes what is asked. Pruning follows the same rule: the floor under a trial is the median
of the generations before it (the median stopping rule of Golovin et al. 2017), never of trials that
happen to run beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from backend.config import RunConfig, derive_seed
from backend.errors import ConfigError
from backend.store.rows import COMPLETE, PRUNED
from backend.training.driver import Driver, RunResult

STARTUP_TRIALS = 6
"""Random trials before the Parzen estimator takes over."""
PRUNE_AFTER = 4
"""Trials that must have ended before any can be pruned."""

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


def tune(
    driver: Driver,
    storage: optuna.storages.BaseStorage,
    name: str,
    *,
    suggest: Suggest,
    configure: Configure,
    first: dict[str, Any],
    trials: int,
    generation: int,
    folds: tuple[int, ...],
    stop: Callable[[int], bool] = lambda done: False,
) -> tuple[dict[str, Any], float]:
    """Search for the parameters with the best inner-validation MCC.

    Args:
        driver: runs the trials.
        storage: Optuna's.
        name: of the Optuna study; an existing one is continued.
        suggest: asks a trial for its parameters.
        configure: turns parameters into a run.
        first: parameters of the first trial.
        trials: how many in all.
        generation: how many are asked before any is told.
        folds: outer folds whose inner validation scores a trial.
        stop: told the trials done, between generations; True ends the search early.

    Returns:
        The chosen parameters and their score.

    Raises:
        ConfigError: not one trial finished.
    """
    study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    while (done := len(study.get_trials(deepcopy=False))) < trials and not (done and stop(done)):
        asked = _ask(study, suggest, first, driver.study_seed, min(generation, trials - done))
        floor = prune_floor(study.get_trials(deepcopy=False))
        configs = [configure(parameters) for _, parameters in asked]
        results = driver.run(configs, folds=folds, prune_floor=floor)
        # Another driver of this study asks the very same trials; what it has told already is not told twice.
        told = len(study.get_trials(deepcopy=False)) - done
        for (trial, parameters), result in list(zip(asked, results, strict=True))[told:]:
            study.add_trial(_ended_trial(trial, parameters, result))
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not finished:
        raise ConfigError(
            f"none of {trials} trials finished",
            where=f"search {name}",
            expected="at least one",
            action="see the failed runs for the reasons",
        )
    chosen = _chosen(finished)
    return dict(chosen.user_attrs["parameters"]), _value(chosen)


def _chosen(finished: list[FrozenTrial]) -> FrozenTrial:
    """The best trial, or the first one where the best is within its own standard error of it."""
    best = max(finished, key=lambda trial: (_value(trial), -trial.number))
    first = finished[0] if finished[0].number == 0 else best
    return best if _value(best) - _value(first) > best.user_attrs.get("error", 0.0) else first


def _value(trial: FrozenTrial) -> float:
    return -1.0 if trial.value is None else trial.value


def _ask(
    study: optuna.Study, suggest: Suggest, first: dict[str, Any], seed: int, size: int
) -> list[tuple[optuna.Trial, dict[str, Any]]]:
    """The next generation of trials, asked of a copy of the study in memory.

    Only ended trials ever reach the storage, so a driver that dies leaves nothing running behind, and the
    next one asks the very same trials again.
    """
    ended = study.get_trials(deepcopy=False)
    copy = optuna.create_study(direction="maximize")
    copy.add_trials(ended)
    if not ended:
        copy.enqueue_trial(first)
    asked = []
    for index in range(size):
        copy.sampler = optuna.samplers.TPESampler(
            seed=derive_seed(seed, "sampler", study.study_name, len(ended), index),
            n_startup_trials=STARTUP_TRIALS,
        )
        trial = copy.ask()
        asked.append((trial, suggest(trial)))
    return asked


def _ended_trial(trial: optuna.Trial, parameters: dict[str, Any], result: RunResult) -> FrozenTrial:
    """The trial as the storage keeps it: its parameters, its epochs, its end."""
    complete = result.status == COMPLETE and np.isfinite(result.inner_score)
    state = TrialState.PRUNED if result.status == PRUNED else TrialState.FAIL
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE if complete else state,
        value=result.inner_score if complete else None,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={"parameters": parameters, "run_id": result.run_id, "error": result.inner_error},
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

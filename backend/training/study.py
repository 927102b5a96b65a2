"""A study from end to end: open the store, run the stages of the plan within the budget, sum up."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.store.rows import COMPLETE, FAILED, INTERRUPTED, StudyRow
from backend.store.writer import RunStore
from backend.training.budget import Budget
from backend.training.costs import load_costs, save_costs
from backend.training.driver import Driver
from backend.training.executor import TimeLimit
from backend.training.forecast import make_forecast
from backend.training.plan import STAGE_FIELDS, Plan, stage_field
from backend.training.prepare import (
    PreparedStudy,
    StudyOptions,
    default_workers,
    make_executor,
    prepare_study,
    storage_url,
)
from backend.training.processes import undisturbed
from backend.training.progress import StudyProgress, study_log
from backend.training.stages import STAGES, StageContext
from backend.training.stages.pieces import part
from backend.training.tuning import forget_searches

__all__ = ["StudyOptions", "default_workers", "expect_study", "run_study"]

log = logging.getLogger(__name__)


def run_study(plan: Plan, options: StudyOptions, *, seed: int = 0) -> dict[str, Any]:
    """Start a study, or go on with it where an earlier one of the same plan and data stopped.

    Args:
        plan: what to run.
        options: where and with what.
        seed: of the study: folds, search and training derive from it.

    Returns:
        The summary: study_id, status, store, log, seconds, what the budget cut, and what
        ``RunStore.summarise_study`` says; ``failed`` holds work of no run too (maps, reports).

    Raises:
        AvocadoError: see ``prepare_study``; StoreError for a store that cannot be written.
    """
    begun = time.monotonic() if options.begun is None else options.begun
    study = prepare_study(plan, options, seed)
    study_id = study.row.study_id
    with RunStore(options.store, study_id) as store, study_log(options.store, study_id) as log_file:
        store.add_dataset(study.context.dataset, study.warnings)
        store.recover()
        if store.study(study_id) is None and not options.storage:
            # The file beside the store may be that of a store that was deleted since.
            forget_searches(storage_url(options), study_id)
        budget = open_budget(study, options, store, begun)
        store.start_study(in_force(study.row, budget.state) if budget.limit else study.row)
        progress = StudyProgress(
            quiet=options.quiet,
            events=options.events,
            report=lambda facts: store.update_progress(study_id, facts | {"spent": budget.spent}),
        )
        status = FAILED
        try:
            _run_stages(study, store, options, budget, progress)
            status = COMPLETE
        except KeyboardInterrupt:
            status = INTERRUPTED
            raise
        except Exception as error:
            log.error("the study ended: %s", error)
            raise
        finally:
            with undisturbed():
                if status != COMPLETE:
                    store.recover()
                summary = {
                    "seconds": budget.spent,
                    "budget": budget.limit,
                    "cuts": budget.cuts,
                    "log": str(log_file),
                    **store.summarise_study(study_id),
                }
                summary["failed"] += progress.faults
                store.finish_study(study_id, status, summary)
                log.info("%s after %.0f s: %s", status, budget.spent, summary["runs"])
    return {"study_id": study_id, "status": status, "store": str(options.store), **summary}


def open_budget(study: PreparedStudy, options: StudyOptions, store: RunStore, begun: float) -> Budget:
    """The budget as an earlier session of the study left it, or a new one."""
    known = store.study(study.row.study_id)
    kept = dict(known.plan.get("budget", {})) if known else {}
    if known:
        kept["spent"] = max(float(kept.get("spent", 0)), float(known.progress.get("spent", 0)))

    def save(state: dict[str, Any]) -> None:
        store.start_study(in_force(study.row, state))

    return Budget(study.plan, options.budget, kept=kept, save=save, begun=begun)


def in_force(row: StudyRow, state: dict[str, Any]) -> StudyRow:
    """The study's row with the plan that is in force, the one that was asked for, and why they differ."""
    return replace(row, plan=row.plan | {"plan": state["plan"], "asked": row.plan["plan"], "budget": state})


def _run_stages(
    study: PreparedStudy, store: RunStore, options: StudyOptions, budget: Budget, progress: StudyProgress
) -> None:
    limit = TimeLimit(options.timeout)
    executor = make_executor(study, options, limit)
    costs = load_costs(costs_file(options.store), study.context, executor.workers)
    limit.expected = costs.fold_seconds
    try:
        if budget.limit is not None:
            progress.start_stage("measuring")
            budget.forecast = make_forecast(study, executor, costs, budget.limit)
        driver = Driver(store, executor, study.context, study.row.study_id, study.seed, progress)
        driver.on_fold, driver.may_start = costs.observe, budget.may_start
        stage = StageContext(
            study.plan, driver, study.modalities, study.seed, storage_url(options), budget=budget
        )
        for name, run_stage in STAGES.items():
            save_costs(costs_file(options.store), costs)  # a driver that is killed takes no measurement along
            progress.start_stage(name)
            before, faults = budget.spent, len(progress.faults)
            stage.plan = budget.plan_for(stage_field(name))
            # Without a baseline there is nothing to compare with; whatever else fails, the rest goes on.
            with nullcontext() if name == "baseline" else part(stage, name):
                run_stage(stage)
            if budget.limit is not None and name == "baseline":  # what follows is built on what was chosen
                budget.forecast = make_forecast(
                    study, executor, costs, budget.limit, stage.baseline_parameters, STAGE_FIELDS[1:]
                )
            # Of a resumed study some of it may have been in the store already.
            if not budget.resumed and len(progress.faults) == faults:
                costs.stages[stage_field(name)] = budget.spent - before
    finally:
        executor.close()
        progress.close()
        save_costs(costs_file(options.store), costs)


def expect_study(plan: Plan, options: StudyOptions, *, seed: int = 0) -> dict[str, Any]:
    """What ``run_study`` would make and how long it would take; trains nothing but a few steps to measure.

    Returns:
        study_id, ``works`` (stage, what, runs, folds, epochs, seconds of each portion), ``seconds`` in all,
        the budget, what it cuts, and ``unknown``: the stages whose time nobody has measured yet.

    Raises:
        AvocadoError: see ``prepare_study``.
    """
    study = prepare_study(plan, options, seed)
    executor = make_executor(study, options)
    costs = load_costs(costs_file(options.store), study.context, executor.workers)
    try:
        forecast = make_forecast(study, executor, costs, options.budget)
    finally:
        executor.close()
        save_costs(costs_file(options.store), costs)
    budget = Budget(study.plan, options.budget)
    budget.forecast = forecast
    expected = forecast.table(budget.plan_for("baseline"))
    return {"study_id": study.row.study_id, "budget": options.budget, "cuts": budget.cuts, **expected}


def costs_file(store: Path) -> Path:
    """Where measurements are kept: beside the store."""
    return store.with_name("calibration.json")

"""What a worker does with a task: one entry for each kind of run."""

from __future__ import annotations

from collections.abc import Callable

from backend.store.bundle import FoldBundle
from backend.training.calibration import measure
from backend.training.explanation import ExplainTask, explain_fold
from backend.training.optim import prepare_worker
from backend.training.pretraining import pretrain_fold
from backend.training.probing import probe_fold
from backend.training.supervised import train_fold
from backend.training.task import FoldTask, WorkerContext

TaskFunction = Callable[[FoldTask, WorkerContext], FoldBundle]

TASKS: dict[str, TaskFunction] = {
    "baseline": train_fold,
    "pretrain": pretrain_fold,
    "finetune": train_fold,
    "probe": probe_fold,
}
"""Kind of run to the function that does one fold of it."""


def execute(task: FoldTask, context: WorkerContext) -> FoldBundle:
    """Do one fold of one run, measure it, or explain it, the same way on every worker."""
    prepare_worker(task.config.threads)
    if isinstance(task, ExplainTask):
        return explain_fold(task, context)
    if task.measure:
        return measure(task, context)
    return TASKS[task.config.kind](task, context)

"""The driver: turns configurations into finished runs, and is the only one that writes.

It hands folds to the executor, stores every bundle as it comes and finishes a run when its last fold is
in. What the store already holds is never computed again, so a study that was interrupted goes on where
it stopped, and ends with the same numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import numpy as np

from backend.config import RunConfig
from backend.errors import LostFileError, StoreError, describe_failure
from backend.evaluation.metrics import summarise
from backend.store.bundle import CurvePoint, MetricValue, Predictions
from backend.store.environment import environment, git_commit
from backend.store.rows import COMPLETE, FAILED, INTERRUPTED, PRUNED, RunRow
from backend.store.writer import RunStore
from backend.training.executor import Executor, Outcome
from backend.training.progress import StudyProgress
from backend.training.task import FoldTask, WorkerContext

WeightsOf = Callable[[RunConfig, int], bytes | None]
"""From a run and its fold to the encoder weights it starts from; None = as its model says."""

POOLED_PROTOCOLS = {"probe_accuracy", "knn_accuracy", "retrieval_map", "retrieval_r1", "retrieval_r5"}

RESAMPLES = 2000
"""Bootstrap resamples behind every interval."""
NO_TIME = "no time was left for it in the budget"
"""Why a run is interrupted that ``may_start`` has refused a fold."""


@dataclass
class RunResult:
    """A run as the next stage needs it.

    Attributes:
        run_id: of the run.
        config: of the run.
        status: complete, pruned, failed or interrupted.
        inner_score: mean over its folds of the inner-validation MCC; NaN where none finished.
        inner_error: standard error of that mean over draws of validation fruit.
        curve: inner-validation MCC an epoch, of the first fold.
    """

    run_id: str
    config: RunConfig
    status: str
    inner_score: float = float("nan")
    inner_error: float = 0.0
    curve: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Stop:
    """Why a run ends at a fold (pruned, failed or too late); those behind it would be in vain."""

    fold: int
    status: str
    reason: str
    curves: tuple[CurvePoint, ...] = ()


@dataclass
class _Open:
    """A run whose folds are on their way.

    With one worker the folds behind one that stops are never run. With more they may come first, so the
    lowest fold that stops decides, once those before it are in.
    """

    row: RunRow
    config: RunConfig
    folds: tuple[int, ...]
    missing: set[int]
    stop: _Stop | None = None
    ended: str = ""

    def needs(self, fold: int) -> bool:
        """Whether a fold can still decide something."""
        return fold in self.missing and (self.stop is None or fold < self.stop.fold)

    def stop_at(self, stop: _Stop) -> None:
        """Take note of a fold that stopped."""
        if self.stop is None or stop.fold < self.stop.fold:
            self.stop = stop


class Driver:
    """Runs configurations for one study.

    Args:
        store: the open store.
        executor: where folds run.
        context: the data.
        study_id: the study that the runs belong to.
        study_seed: from which all randomness derives.
        progress: told about every fold.

    Attributes:
        on_fold: told the configuration and the seconds of every fold that is stored.
        may_start: asked before a fold of a configuration is handed out; False interrupts its run.
    """

    def __init__(
        self,
        store: RunStore,
        executor: Executor,
        context: WorkerContext,
        study_id: str,
        study_seed: int,
        progress: StudyProgress,
    ) -> None:
        self.store = store
        self.executor = executor
        self.context = context
        self.study_id = study_id
        self.study_seed = study_seed
        self.progress = progress
        self.on_fold: Callable[[RunConfig, float], None] = lambda config, seconds: None
        self.may_start: Callable[[RunConfig], bool] = lambda config: True
        self._environment = environment(device=context.device)
        self._commit = git_commit()

    @functools.cached_property
    def _fold_version(self) -> str:
        study = self.store.study(self.study_id)
        assert study is not None, "the study of a running driver is in the store"
        return study.fold_version

    @property
    def outer_folds(self) -> tuple[int, ...]:
        """Indices of the outer folds."""
        return tuple(int(fold) for fold in np.unique(self.context.folds) if fold >= 0)

    def run(
        self,
        configs: Sequence[RunConfig],
        *,
        folds: tuple[int, ...] | None = None,
        prune_floor: tuple[float, ...] = (),
        weights: WeightsOf = lambda config, fold: None,
    ) -> list[RunResult]:
        """Run every configuration and return the results in the order given.

        Args:
            configs: the runs; one that the store holds already is not repeated.
            folds: outer folds to run; None = all.
            prune_floor: see ``FoldTask``.
            weights: encoder weights that a fold of a run starts from.
        """
        folds = self.outer_folds if folds is None else folds
        asked = [self._open(config, folds) for config in configs]
        # Two that differ in their label alone are one run.
        by_id: dict[str, _Open] = {}
        for run in asked:
            by_id.setdefault(run.row.run_id, run)
        runs = list(by_id.values())
        self.progress.expect(sum(len(run.missing) for run in runs))
        with (
            self._none_left_running(runs),
            closing(self.executor.run(self._tasks(runs, prune_floor, weights))) as outcomes,
        ):
            for outcome in outcomes:
                if outcome is None:
                    self.store.heartbeat([run.row.run_id for run in runs if not run.ended], self.study_id)
                    continue
                self._take(by_id[outcome.task.run_id], outcome)
        return [self._result(by_id[run.row.run_id]) for run in asked]

    @contextmanager
    def _none_left_running(self, runs: list[_Open]) -> Iterator[None]:
        """Interrupt the runs that an error leaves without an end: the study may go on without them."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, StoreError) or isinstance(error, LostFileError):
                reason = describe_failure(error)
                for run in runs:
                    if not run.ended:
                        self.store.end_run(run.row.run_id, INTERRUPTED, reason, {})
                        run.ended = INTERRUPTED
            raise

    def _open(self, config: RunConfig, folds: tuple[int, ...]) -> _Open:
        row = RunRow.from_config(
            config,
            study_id=self.study_id,
            dataset_id=self.context.dataset.dataset_id,
            n_folds=len(folds),
            environment={**self._environment, "threads": config.threads},
            git_commit=self._commit,
        )
        status = self.store.run_status(row.run_id)
        if status in (COMPLETE, PRUNED):
            return _Open(row, config, folds, set(), ended=status)
        if status is None and config.kind == "pretrain" and config.purpose != "tune":
            # Encoders are dear and belong to no study: those of another one serve as well.
            twin = self.store.twin_run(row, self._fold_version, self.study_seed)
            if twin is not None:
                return _Open(replace(row, run_id=twin), config, folds, set(), ended=COMPLETE)
        self.store.start_run(row)
        run = _Open(row, config, folds, set(folds) - self.store.finished_folds(row.run_id))
        for fold, reason in self.store.pruned_folds(row.run_id).items():
            run.stop_at(_Stop(fold, PRUNED, reason))
        self._settle(run)
        return run

    def _tasks(
        self, runs: list[_Open], prune_floor: tuple[float, ...], weights: WeightsOf
    ) -> Iterator[FoldTask]:
        for run in runs:
            for fold in sorted(run.missing):
                if run.needs(fold) and not self.may_start(run.config):
                    run.stop_at(_Stop(fold, INTERRUPTED, NO_TIME))
                    self._settle(run)
                if not run.needs(fold):
                    self.progress.skip()
                    continue
                yield FoldTask(
                    run_id=run.row.run_id,
                    config=run.config,
                    fold=fold,
                    study_seed=self.study_seed,
                    prune_floor=prune_floor,
                    weights=weights(run.config, fold),
                )

    def _take(self, run: _Open, outcome: Outcome) -> None:
        """Store what came back for one fold."""
        run_id, fold, bundle = run.row.run_id, outcome.task.fold, outcome.bundle
        run.missing.discard(fold)
        if bundle is None:
            run.stop_at(_Stop(fold, FAILED, f"fold {fold}: {outcome.error}", outcome.curves))
            self._settle(run)
            self.progress.failed(run.row.name, outcome.error, is_run=True)
            return
        self.store.write_fold(run_id, bundle)
        self.on_fold(run.config, bundle.seconds)
        if (checkpoint := self.context.checkpoint(run_id, fold)) is not None:
            checkpoint.unlink(missing_ok=True)
        if bundle.pruned:
            run.stop_at(_Stop(fold, PRUNED, bundle.pruned))
        self._settle(run)
        self.progress.advance(run.row.name, bundle.seconds)

    def _settle(self, run: _Open) -> None:
        """End the run if no fold that is still out can change how it ends."""
        if run.ended or any(run.needs(fold) for fold in run.missing):
            return
        if (stop := run.stop) is None:
            self._finish(run)
            return
        unfinished = {stop.fold: stop.curves} if stop.status == FAILED else {}
        self.store.end_run(run.row.run_id, stop.status, stop.reason, unfinished)
        run.ended = stop.status

    def _finish(self, run: _Open) -> None:
        """Compute the run's own metrics from the pooled predictions of its folds."""
        score = self._inner_score(run.row.run_id)
        metrics = [MetricValue("inner_mcc", score, reason="" if score is not None else "no fold has one")]
        predictions = self.store.load_predictions(run.row.run_id)
        if predictions.fruit_ids:
            metrics += pooled_metrics(predictions, self.context, seed=self.study_seed)
            metrics += self._protocol_means(run, {metric.metric for metric in metrics})
        self.store.finish_run(run.row.run_id, metrics)
        run.ended = COMPLETE

    def _protocol_means(self, run: _Open, known: set[str]) -> list[MetricValue]:
        """Metrics that folds report beside their predictions (kNN, retrieval): mean over the test fruit.

        Each is a mean over fruit itself, so the mean weighted by the size of the test parts is the pooled
        value; ``knn_mcc`` and the clustering scores are no such means and stay with their folds.
        """
        sizes = {fold: int((self.context.folds == fold).sum()) for fold in run.folds}
        means = []
        for name in sorted(POOLED_PROTOCOLS - known):
            found = self.store.fold_metrics(run.row.run_id, name)
            values = {fold: value for fold, value in found.items() if value is not None}
            if values:
                weights = [sizes[fold] for fold in values]
                means.append(MetricValue(name, float(np.average(list(values.values()), weights=weights))))
        return means

    def _inner_score(self, run_id: str) -> float | None:
        """Mean over the folds of the inner-validation MCC."""
        values = [v for v in self.store.fold_metrics(run_id, "inner_mcc").values() if v is not None]
        return float(np.mean(values)) if values else None

    def _result(self, run: _Open) -> RunResult:
        score = self._inner_score(run.row.run_id)
        curve = self.store.curve(run.row.run_id, run.folds[0], "validation", "mcc")
        errors = [e or 0.0 for e in self.store.fold_metrics(run.row.run_id, "inner_mcc_error").values()]
        return RunResult(
            run_id=run.row.run_id,
            config=run.config,
            status=run.ended or FAILED,
            inner_score=float("nan") if score is None else score,
            inner_error=float(np.linalg.norm(errors)) / max(len(errors), 1),
            curve=tuple(curve),
        )


def pooled_metrics(predictions: Predictions, context: WorkerContext, *, seed: int) -> list[MetricValue]:
    """Every metric of a run with its interval, from the predictions of all its folds."""
    dataset = context.dataset
    group_of = dict(zip(dataset.fruit_ids, dataset.groups, strict=True))
    return summarise(
        predictions,
        task=dataset.task,
        healthy=dataset.healthy,
        kinds={defect.name: defect.kind for defect in dataset.defects},
        groups=np.array([group_of[name] for name in predictions.fruit_ids]),
        resamples=RESAMPLES,
        seed=seed,
    )

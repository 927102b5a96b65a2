"""The unit of work, of progress and of loss: one fold of one run.

A ``FoldTask`` is all a worker is told, a ``WorkerContext`` all it is given once. Both travel by pickle to
processes and other machines; neither knows a store.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.config import RunConfig, config_hash, derive_seed
from backend.data.cache import ImageCache
from backend.data.dataset import FruitDataset
from backend.data.splits import inner_split, label_fraction
from backend.errors import AvocadoError, TrainingError
from backend.store.bundle import CurvePoint


class Pruned(AvocadoError):  # noqa: N818 - a decision, not an error
    """A trial that fell behind earlier ones and was stopped."""


class TrainingStoppedError(TrainingError):
    """A training that collapsed or diverged.

    Args:
        reason: what went wrong.
        curves: of the epochs up to then, worth keeping with the failed run.
    """

    def __init__(self, reason: TrainingError | str, curves: tuple[CurvePoint, ...] = ()) -> None:
        super().__init__(str(reason))  # pickle makes the error from this text, then adds its attributes
        self.curves = curves


@dataclass(frozen=True)
class FoldTask:
    """One fold of one run.

    Attributes:
        run_id: the run it belongs to.
        config: the run.
        fold: outer fold, 0-based.
        study_seed: from which, with the configuration and the fold, all randomness derives.
        prune_floor: inner-validation MCC an epoch (1-based, at index epoch - 1) below which the trial stops.
        weights: encoder weights of a pretraining as safetensors bytes; None = start as the model says.
        measure: only find out what the fold would cost, see ``backend.training.calibration``.
    """

    run_id: str
    config: RunConfig
    fold: int
    study_seed: int
    prune_floor: tuple[float, ...] = ()
    weights: bytes | None = None
    measure: bool = False

    @property
    def seed(self) -> int:
        """Seed of everything random in this fold.

        Of a parent its configuration counts, not the study that made it: a fine-tune of the same encoder
        gives the same numbers wherever the encoder comes from.
        """
        config = self.config
        if config.parent is not None:
            config = replace(config, parent=config.parent.partition("-")[0])
        return derive_seed(self.study_seed, config_hash(config), self.fold)

    def require_floor(self, epoch: int, best: float) -> None:
        """Stop a trial that lags behind earlier ones.

        Args:
            epoch: epochs done, from 1.
            best: best inner-validation MCC so far.

        Raises:
            Pruned: it is below the floor of that epoch.
        """
        if epoch <= len(self.prune_floor) and best < self.prune_floor[epoch - 1]:
            raise Pruned(
                f"best inner-validation MCC {best:.3f} after epoch {epoch}",
                expected=f"at least {self.prune_floor[epoch - 1]:.3f}, the median of earlier trials",
            )


@dataclass(frozen=True)
class WorkerContext:
    """What every task of a study shares.

    Attributes:
        dataset: the fruit.
        cache: their pixels.
        folds: (n,) outer fold of each fruit, -1 = never tested.
        device: ``cpu``, ``cuda`` or ``mps``.
        scratch: folder for what an unfinished fold goes on from; None = a fold starts anew.
    """

    dataset: FruitDataset
    cache: ImageCache
    folds: NDArray[np.int64]
    device: str
    scratch: Path | None = None

    def checkpoint(self, run_id: str, fold: int) -> Path | None:
        """The file that an unfinished pretraining fold goes on from; None where there is no place for it."""
        return self.scratch / f"{run_id}-fold{fold}.safetensors" if self.scratch else None


@dataclass(frozen=True)
class FoldParts:
    """Rows of the data set that one fold may use for what.

    Attributes:
        fit: for gradients.
        validation: for early stopping, thresholds and choices.
        test: for the result alone.
        unlabelled: fruit without any label, outside the test part of a fixed split.
        outer_train: every labelled fruit outside the test part, whatever the label fraction.
    """

    fit: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    unlabelled: NDArray[np.int64]
    outer_train: NDArray[np.int64]


def _drawn_apart(dataset: FruitDataset, train: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The parts that a share of the labels is drawn from: of a fixed split those for fitting and validation.

    Together, chance could leave one of them without a positive, or without fruit.
    """
    if dataset.fixed_split is None:
        return [train]
    validates = np.asarray(dataset.fixed_split)[train] == "val"
    return [rows for rows in (train[~validates], train[validates]) if len(rows)]


def fold_parts(context: WorkerContext, config: RunConfig, fold: int) -> FoldParts:
    """Split the fruit for one fold.

    The inner split depends on the study's split seed and the fold alone, so that runs pair; the draw of a
    label fraction depends on the run's seed too. A label fraction covers fitting and validation: labels
    that choose a threshold were paid for as well; of a fixed split it is drawn from each.
    """
    dataset = context.dataset
    labelled = dataset.labelled
    test = np.flatnonzero(context.folds == fold)
    outer_train = np.flatnonzero(labelled & (context.folds != fold))
    train = outer_train
    if config.data.label_fraction < 1:
        seed = derive_seed(config.data.split_seed, "labels", fold, config.seed)
        train = np.concatenate(
            [
                label_fraction(dataset.labels, dataset.groups, rows, config.data.label_fraction, seed)
                for rows in _drawn_apart(dataset, outer_train)
            ]
        )
    fixed, unlabelled = None, ~labelled
    if dataset.fixed_split is not None:
        marked = np.asarray(dataset.fixed_split) == "val"
        fixed = marked if marked[train].any() else None
        unlabelled = unlabelled & (np.asarray(dataset.fixed_split) != "test")
    seed = derive_seed(config.data.split_seed, "inner", fold)
    fit, validation = inner_split(dataset.labels, dataset.groups, train, seed, fixed_val=fixed)
    return FoldParts(fit, validation, test, np.flatnonzero(unlabelled), outer_train)

"""A study before anything is stored: data checked, images decoded, folds drawn, workers chosen."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.data.cache import open_cache
from backend.data.check import check_dataset
from backend.data.dataset import FruitDataset
from backend.data.manifest import read_dataset
from backend.data.problem import ERROR, refuse
from backend.data.splits import outer_folds
from backend.errors import unknown_name
from backend.methods.registry import method_info, require_pretrains
from backend.models.backbones import check_backbone, create_backbone
from backend.store.artifacts import checkpoint_root
from backend.store.rows import StudyRow
from backend.training.executor import Executor, InProcessExecutor, TimeLimit
from backend.training.optim import resolve_device
from backend.training.plan import Plan
from backend.training.pool import PoolExecutor
from backend.training.ranks import require_devices
from backend.training.settings import PretrainingStage
from backend.training.stages.augmentation_ablation import check_candidates
from backend.training.stages.method_search import planned_augment
from backend.training.task import WorkerContext

LATER = ("policy", "operations", "without", "strength")
"""Fields of pretraining that came later: a study that goes without them keeps the id it had."""


@dataclass(frozen=True)
class StudyOptions:
    """How a study is run; nothing here but the budget changes a number.

    Attributes:
        dataset: the data set folder.
        store: the run store.
        cache: folder of decoded images.
        workers: worker processes; None = as many as fit the machine, 0 = in this process.
        device: see ``backend.training.optim.resolve_device``.
        storage: Optuna's database URL; empty = a file beside the store.
        timeout: seconds after which a fold counts as hung; None = from the folds that have ended.
        budget: seconds until the study has to end; None = when the plan is done.
        cluster: address of a Ray cluster; empty = this machine.
        gpu_share: GPUs that a fold takes on a cluster, e.g. 0.25.
        quiet: no progress bar.
        events: progress as JSON lines on stderr instead of a bar.
        begun: when the command started, on the clock of ``time.monotonic``; None = when the study does.
        words: of the command, those that make the study what it is; stored for whoever goes on with it.
    """

    dataset: Path
    store: Path
    cache: Path
    workers: int | None = None
    device: str = "auto"
    storage: str = ""
    timeout: float | None = None
    budget: float | None = None
    cluster: str = ""
    gpu_share: float = 1.0
    quiet: bool = False
    events: bool = False
    begun: float | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class PreparedStudy:
    """A study whose data were checked and whose names resolve: everything but the store."""

    plan: Plan
    row: StudyRow
    context: WorkerContext
    modalities: tuple[str, ...]
    warnings: list[str]
    seed: int


def prepare_study(plan: Plan, options: StudyOptions, seed: int) -> PreparedStudy:
    """Read and check the data, decode the images, draw the folds.

    Raises:
        DataError: data that would make results wrong.
        ConfigError: a name or a device that does not exist, or too few devices.
    """
    _check_names(plan)
    device = study_device(options)
    if not options.cluster:
        require_devices(device, plan.pretraining.devices)
    dataset = read_dataset(options.dataset, cache_dir=options.cache)
    modalities = resolve_modalities(plan.modalities, dataset)
    check_candidates(plan.augmentations, modalities)
    pictures = sum(len(dataset.modalities.get(name, ())) for name in modalities)
    plan = plan.fitted(pictures, int(dataset.labelled.sum()))
    warnings = check_before_training(dataset, plan, options)
    folds = outer_folds(dataset.labels, dataset.groups, plan.folds, seed, fixed_split=dataset.fixed_split)
    cache = open_cache(dataset, plan.resolution, options.cache, progress=not options.quiet)
    row = study_row(plan, dataset, folds, seed, modalities, options.budget)
    if options.words:
        row = replace(row, plan=row.plan | {"words": list(options.words)})
    context = WorkerContext(dataset, cache, folds, device, checkpoint_root(options.store))
    return PreparedStudy(plan, row, context, modalities, warnings, seed)


def _check_names(plan: Plan) -> None:
    """What the plan names exists and can do what it is named for; otherwise a night would end at it."""
    for backbone in plan.baseline.backbones:
        check_backbone(backbone, "imagenet" if "imagenet" in plan.pretraining.methods else "random")
        if plan.projections.enabled:
            create_backbone(backbone, 1).require_stage(plan.projections.layer, "projections.layer")
    for method in plan.pretraining.methods:
        if method_info(method, "pretraining.methods (--methods)").pretrains:
            planned_augment(plan.pretraining, method)
    if plan.pretraining_sets.method:
        require_pretrains(plan.pretraining_sets.method, "pretraining_sets.method")
        planned_augment(plan.pretraining, plan.pretraining_sets.method)


def make_executor(study: PreparedStudy, options: StudyOptions, limit: TimeLimit | None = None) -> Executor:
    """A Ray cluster, worker processes, or this process where ``workers`` is 0."""
    threads, limit = study.plan.threads, limit or TimeLimit(options.timeout)
    if options.cluster:
        from backend.training.ray_executor import RayExecutor

        return RayExecutor(study.context, options.cluster, threads, options.gpu_share, limit)
    if options.workers == 0:
        return InProcessExecutor(study.context)
    workers = options.workers or default_workers(threads, study.context.device)
    return PoolExecutor(study.context, workers, threads, limit)


def study_device(options: StudyOptions) -> str:
    """Where folds run: on this machine, or what the cluster has.

    Raises:
        ConfigError: a device that this machine lacks, or no such cluster.
    """
    if not options.cluster:
        return resolve_device(options.device)
    from backend.training.ray_executor import cluster_device

    return cluster_device(options.cluster, options.device)


def storage_url(options: StudyOptions) -> str:
    """Optuna's database: the one given, else a file beside the store."""
    if options.storage:
        return options.storage
    return f"sqlite:///{options.store.with_suffix('.optuna.db').resolve()}"


def default_workers(threads: int, device: str) -> int:
    """As many processes as the cores can feed; on a GPU one, since folds share its memory."""
    if device != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, cores // threads)


def resolve_modalities(wanted: tuple[str, ...], dataset: FruitDataset) -> tuple[str, ...]:
    """The sensors to use, in the order of the data set.

    Raises:
        ConfigError: a name that the data set does not have.
    """
    for name in wanted:
        if name not in dataset.sensors:
            raise unknown_name("modality", name, dataset.sensors, "modalities (--modalities)")
    return tuple(name for name in dataset.sensors if not wanted or name in wanted)


def check_before_training(dataset: FruitDataset, plan: Plan, options: StudyOptions) -> list[str]:
    """Refuse data that would make results wrong; return the warnings.

    Raises:
        DataError: the first error, and how many more there are.
    """
    problems = check_dataset(dataset.root, plan.folds, cache_dir=options.cache, progress=not options.quiet)
    if any(problem.severity == ERROR for problem in problems):
        refuse(problems, dataset.root)
    return [str(problem) for problem in problems]


def study_row(
    plan: Plan,
    dataset: FruitDataset,
    folds: NDArray[np.int64],
    seed: int,
    modalities: tuple[str, ...],
    budget: float | None = None,
) -> StudyRow:
    """The study's row; its id is made of plan, data, seed, sensors and budget: the same command finds it."""
    said, own = asdict(plan), asdict(PretrainingStage())
    for name in LATER:
        if said["pretraining"][name] == own[name]:
            said["pretraining"].pop(name)
    content: dict[str, object] = {"plan": said, "seed": seed, "modalities": modalities}
    if budget is not None:
        content["budget"] = {"seconds": budget}
    text = json.dumps([content, dataset.dataset_id], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return StudyRow(
        study_id=f"{plan.name}-{digest}",
        name=f"{plan.name} · {dataset.name}",
        plan=json.loads(json.dumps(content)),
        dataset_id=dataset.dataset_id,
        metric="mcc",
        folds={name: int(fold) for name, fold in zip(dataset.fruit_ids, folds, strict=True) if fold >= 0},
    )

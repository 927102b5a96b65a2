"""Studies, runs and comparisons as the store keeps them, and how a run gets its id and its name."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any

from backend.config import RunConfig, config_hash
from backend.fields import to_dict

RUNNING, COMPLETE, PRUNED, FAILED, INTERRUPTED = "running", "complete", "pruned", "failed", "interrupted"
RUN_ENDINGS = (FAILED, PRUNED, INTERRUPTED)
STUDY_ENDINGS = (COMPLETE, INTERRUPTED, FAILED)


@dataclass(frozen=True)
class StudyRow:
    """One study: a plan on a data set, with the outer folds that all its runs share.

    Attributes:
        study_id: unique; the same study resumed keeps it.
        name: for people.
        plan: the whole plan as JSON types.
        dataset_id: content fingerprint of the data set.
        metric: what the study maximises, e.g. ``"mcc"``.
        folds: fruit_id to outer fold.
        fold_version: fingerprint of ``folds``; computed where it is left out.
        status: running, complete, interrupted or failed.
        started: UTC time; the store fills it in.
        finished: UTC time, None while it runs.
        heartbeat: UTC time of the driver's last sign of life.
        progress: stage, done, total, seconds left.
        summary: what ran, what failed and why.
    """

    study_id: str
    name: str
    plan: dict[str, Any]
    dataset_id: str
    metric: str
    folds: dict[str, int] = field(default_factory=dict)
    fold_version: str = ""
    status: str = RUNNING
    started: str = ""
    finished: str | None = None
    heartbeat: str | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Compute the fingerprint of the folds where it is missing."""
        if self.folds and not self.fold_version:
            text = json.dumps(self.folds, sort_keys=True)
            object.__setattr__(self, "fold_version", hashlib.sha256(text.encode()).hexdigest()[:16])


@dataclass(frozen=True)
class RunRow:
    """One run as it starts; what it finds out comes later, fold by fold.

    Attributes:
        run_id: see ``run_identity``; the same run started again keeps it.
        study_id: its study.
        parent_run_id: the pretraining whose weights it starts from.
        dataset_id: its data set.
        name: see ``readable_name``.
        augmentations: names of the operations in force.
        params: the whole configuration as JSON types.
        n_folds: outer folds that make it complete.
        transductive: whether pretraining saw test fruit (for study only).
        git_commit: of this program, with ``-dirty`` where files were changed; None outside a checkout.
        environment: host, python, packages, device, threads (``backend.store.environment``).
    """

    run_id: str
    study_id: str
    parent_run_id: str | None
    dataset_id: str
    name: str
    kind: str
    purpose: str
    method: str
    backbone: str
    init: str
    modalities: tuple[str, ...]
    augmentations: tuple[str, ...]
    label_fraction: float
    seed: int
    params: dict[str, Any]
    config_hash: str
    n_folds: int
    transductive: bool
    git_commit: str | None
    environment: dict[str, Any]

    @classmethod
    def from_config(
        cls,
        config: RunConfig,
        *,
        study_id: str,
        dataset_id: str,
        n_folds: int,
        environment: dict[str, Any],
        git_commit: str | None = None,
    ) -> RunRow:
        """The row of a run that is about to start.

        Args:
            config: the run.
            study_id: its study.
            dataset_id: its data set.
            n_folds: outer folds it will have.
            environment: from ``backend.store.environment.environment``.
            git_commit: from ``backend.store.environment.git_commit``.
        """
        chosen, digest = config.augment, config_hash(config)
        named = chosen.operations if chosen.policy == "custom" else (chosen.policy,)
        return cls(
            run_id=_identity(digest, study_id, dataset_id, config.seed),
            study_id=study_id,
            parent_run_id=config.parent,
            dataset_id=dataset_id,
            name=readable_name(config),
            kind=config.kind,
            purpose=config.purpose,
            method=config.method.name,
            backbone=config.model.backbone,
            init=config.model.init,
            modalities=config.model.modalities,
            augmentations=(*named, *(f"without {name}" for name in chosen.without)),
            label_fraction=config.data.label_fraction,
            seed=config.seed,
            params=to_dict(config),
            config_hash=digest,
            n_folds=n_folds,
            transductive=is_transductive(config),
            git_commit=git_commit,
            environment=environment,
        )


@dataclass(frozen=True)
class ComparisonRow:
    """Run b against run a on the same fruit.

    Attributes:
        defect: None = over all defects.
        delta: b minus a, in the metric's own unit.
        ci_low: lower end of the 95 % interval of ``delta``.
        ci_high: upper end.
        p_value: of ``test``, uncorrected.
        p_adjusted: after Holm's correction inside ``family``.
        test: its name, e.g. ``"corrected resampled t"``.
        family: the question that the correction spans.
        n: fruit compared.
        verdict: better, worse or not distinguishable, for people.
        effect_size: standardised difference; see ``backend.evaluation.compare``.
        n_needed: labelled fruit that would settle it with 80 % power; None where no number would.
    """

    run_id_a: str
    run_id_b: str
    metric: str
    test: str
    defect: str | None = None
    delta: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    family: str = ""
    n: int | None = None
    verdict: str = ""
    effect_size: float | None = None
    n_needed: int | None = None


@dataclass(frozen=True)
class FindingRow:
    """Something worth knowing about a data set.

    Attributes:
        kind: ``label_issue``, ``duplicate``, ``label_conflict``, ``outlier``, ``sensor`` or ``drift``.
        subject: the defect, the sensor or ``sensor · group``; empty = the fruit as a whole.
        fruit_id: the fruit; empty where it is not about one.
        other_id: the second fruit of a pair.
        value: how strong it is, in the unit of its kind.
        detail: what else is known.
        run_id: whose predictions or features say so.
    """

    kind: str
    subject: str
    fruit_id: str = ""
    other_id: str = ""
    value: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    run_id: str | None = None


def is_transductive(config: RunConfig) -> bool:
    """Whether the pretraining behind a run saw test fruit: for study only, never compared."""
    return config.kind != "baseline" and config.data.pool == "all"


def run_identity(config: RunConfig, study_id: str, dataset_id: str) -> str:
    """The id of a run: the configuration's hash and 8 hex digits of study, data set and seed."""
    return _identity(config_hash(config), study_id, dataset_id, config.seed)


def _identity(digest: str, study_id: str, dataset_id: str, seed: int) -> str:
    text = "\x1f".join((study_id, dataset_id, str(seed)))
    return f"{digest}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def readable_name(config: RunConfig) -> str:
    """A short name for people, e.g. ``barlow_twins · 10 % labels · rgb+nir``."""
    baseline = config.kind == "baseline"
    who = "baseline" if baseline else config.method.name
    parts = [who if config.kind in ("baseline", "finetune") else f"{who} {config.kind}"]
    if baseline:
        parts.append(config.model.backbone)
    if config.data.label_fraction < 1:
        parts.append(f"{100 * config.data.label_fraction:g} % labels")
    parts.append("+".join(config.model.modalities))
    if config.label:
        parts.append(config.label)
    return " · ".join(parts)


def compact_json(value: Any) -> str:
    """JSON text that every reader accepts: numbers that are not finite become null, arrays lists."""
    return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def finite(value: float | None) -> float | None:
    """``value`` as a plain float; None where it is missing, infinite or not a number."""
    return float(value) if value is not None and math.isfinite(value) else None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return _plain(value.tolist())
    if isinstance(value, float):
        return finite(value)
    return value if isinstance(value, str | int | bool | None) else str(value)

"""Optimiser, schedule, precision and device: what every training loop of this project shares."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from backend.errors import ConfigError, TrainingError
from backend.models.backbones import trains_in_bfloat16

if TYPE_CHECKING:
    from lightning.fabric import Fabric

BFLOAT16, FLOAT32 = "bfloat16", "float32"


def resolve_device(name: str) -> str:
    """Turn ``auto`` into the best device at hand.

    Raises:
        ConfigError: a device that this machine lacks.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if available[device])
    if not available.get(name, False):
        found = [device for device, there in available.items() if there]
        raise ConfigError(
            f"device {name!r} is not available",
            where="--device",
            expected=f"one of auto, {', '.join(found)}",
            action="pick one of these",
        )
    return name


def make_fabric(device: str, devices: int = 1) -> Fabric:
    """Fabric for one device, or for one rank of several; precision is ``mixed_precision``'s business.

    Ranks are started by ``backend.training.ranks``; a method may leave parameters out for a while (DINO's
    prototypes).
    """
    from lightning.fabric import Fabric
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.strategies.ddp import DDPStrategy

    if devices == 1:
        return Fabric(accelerator=device, devices=1)
    strategy = DDPStrategy(cluster_environment=LightningEnvironment(), find_unused_parameters=True)
    return Fabric(accelerator=device, devices=devices, strategy=strategy)


def mixed_precision(device: str, backbone: str) -> torch.autocast:
    """A context in which training multiplies in what ``training_precision`` says.

    Weights, BatchNorm's statistics and losses stay float32, and so does whatever is judged: validation, tests
    and probes run outside (Micikevicius et al. 2018, "Mixed precision training"; Kalamkar et al. 2019, "A
    study of bfloat16 for deep learning training").
    """
    return torch.autocast(device, torch.bfloat16, enabled=training_precision(device, backbone) == BFLOAT16)


def training_precision(device: str, backbone: str) -> str:
    """What training multiplies in: bfloat16 on CUDA, and on a CPU where that is faster, else float32.

    Where its cores multiply twice as fast so, a ResNet's step takes .5 to .7 of the time
    (``benchmarks/precision.py``). Depthwise convolutions take twice as long, and of networks that stride
    within a stage not every gradient is written (``backend.models.backbones``).

    Args:
        device: ``cpu``, ``cuda`` or ``mps``.
        backbone: a registered name.
    """
    fast = device == "cuda" or (device == "cpu" and _multiplies_bfloat16() and trains_in_bfloat16(backbone))
    return BFLOAT16 if fast else FLOAT32


def _multiplies_bfloat16() -> bool:
    """Whether this CPU does so faster than in float32; False where torch is too old to say.

    Matrix units do (AMX). Of cores with AVX-512 BF16 alone AMD's do twice as many products a cycle as in
    float32; Intel's do as many, and rounding makes a step 1.0 to 1.5 times as long.
    """
    found: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    intel = "intel" in str(found.get("cpu_name", "Intel")).lower()
    return bool(found.get("amx_bf16", False) or (found.get("avx512_bf16", False) and not intel))


def prepare_worker(threads: int) -> None:
    """Fix what results depend on: the number of CPU threads and deterministic algorithms.

    numpy and scipy each bring a BLAS of their own, which takes every core unless told: two workers whose
    linear probes do so wait for each other's threads, and a probe takes 30 times as long.
    """
    import scipy.linalg  # noqa: F401  (a library that is not loaded yet cannot be told)
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(threads)
    threadpool_limits(limits=threads, user_api="blas")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # A twentieth of a step, for nothing but to show up reads of memory that nobody wrote.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def make_optimizer(
    parameters: Iterable[tuple[str, nn.Parameter]],
    *,
    learning_rate: float,
    weight_decay: float,
    backbone_rate: float = 1.0,
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019); no decay on biases and norms, encoders with a rate of their own.

    Args:
        parameters: (name, parameter) pairs; names that start with ``encoders.`` belong to the backbone.
        learning_rate: peak rate of heads.
        weight_decay: decoupled decay of weight matrices and kernels.
        backbone_rate: factor on the rate of the encoders.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters:
        if parameter.requires_grad:
            key = (name.startswith("encoders."), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": members,
                "lr": learning_rate * (backbone_rate if is_backbone else 1.0),
                "weight_decay": weight_decay if decays else 0.0,
            }
            for (is_backbone, decays), members in groups.items()
        ],
        fused=True,
    )


def cosine_schedule(optimizer: torch.optim.Optimizer, steps: int, warmup: float) -> LambdaLR:
    """Linear warm-up over a share of the steps, then cosine decay to zero (Loshchilov and Hutter 2017)."""
    warm = max(1, round(steps * warmup))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))

    return LambdaLR(optimizer, factor)


def require_finite(loss: float, epoch: int) -> None:
    """Stop a diverged run.

    Raises:
        TrainingError: the loss is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss became {loss} in epoch {epoch}",
            expected="a finite loss",
            action="lower the learning rate",
        )

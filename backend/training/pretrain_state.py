"""A pretraining on disk: weights, optimiser and curves after an epoch, as one safetensors file.

Everything random in an epoch derives from (seed, epoch), so no generator has to be stored, and a training
that goes on from a file ends with the same bits as one that never stopped (on a CPU).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from backend.methods.base import Method
from backend.store.bundle import CurvePoint

_METHOD, _OPTIMIZER, _ABOUT = "method.", "optimizer.", "about"


@dataclass(frozen=True)
class Progress:
    """How far a training is: epochs done, the seconds they took in all sessions, and the curves so far."""

    epoch: int = 0
    seconds: float = 0.0
    curves: tuple[CurvePoint, ...] = ()


def save_state(
    path: Path,
    identity: str,
    progress: Progress,
    parts: tuple[Method, torch.optim.Optimizer, LambdaLR],
) -> None:
    """Write the state after an epoch; the file is whole, and on the disk, or the one before stays.

    Args:
        path: where to.
        identity: what is trained on what; only the same training may go on from the file.
        progress: so far.
        parts: method, optimiser and schedule.
    """
    method, optimizer, schedule = parts
    state = optimizer.state_dict()
    tensors = {_METHOD + name: value for name, value in method.state_dict().items()}
    for index, slots in state["state"].items():
        tensors |= {f"{_OPTIMIZER}{index}.{slot}": value for slot, value in slots.items()}
    about = {
        "identity": identity,
        "progress": asdict(progress),
        "groups": state["param_groups"],
        "schedule": {key: value for key, value in schedule.state_dict().items() if key != "lr_lambdas"},
    }
    temporary = path.with_suffix(".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Contiguous copies: safetensors knows no channels_last.
    save_file(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()},
        temporary,
        metadata={_ABOUT: json.dumps(about)},
    )
    with temporary.open("rb") as file:
        os.fsync(file.fileno())  # a power cut may otherwise keep the name and lose the content
    temporary.replace(path)


def load_state(path: Path, identity: str, parts: tuple[Method, torch.optim.Optimizer, LambdaLR]) -> Progress:
    """Go on from a file, if it is there, whole, and of the same training.

    Returns:
        How far the training was; no epoch where it starts anew.
    """
    if not path.exists():
        return Progress()
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()[_ABOUT])
            progress = _progress(about["progress"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError):
        return Progress()
    if about["identity"] != identity:
        return Progress()
    method, optimizer, schedule = parts
    weights = {
        name.removeprefix(_METHOD): value for name, value in tensors.items() if name.startswith(_METHOD)
    }
    if _shapes(weights) != _shapes(method.state_dict()):
        return Progress()  # written by another version of the method
    method.load_state_dict(weights)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith(_OPTIMIZER):
            index, _, slot = name.removeprefix(_OPTIMIZER).partition(".")
            like = parameters[int(index)]
            # A fused optimiser walks through memory: moments have to lie like their parameter.
            laid_out = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
            slots.setdefault(int(index), {})[slot] = laid_out.detach()
    optimizer.load_state_dict({"state": slots, "param_groups": about["groups"]})
    schedule.load_state_dict(about["schedule"] | {"lr_lambdas": [None] * len(about["groups"])})
    return progress


def _progress(values: dict[str, Any]) -> Progress:
    return Progress(**values | {"curves": tuple(CurvePoint(**point) for point in values["curves"])})


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}

"""One training on several devices of one machine: a process for each, which start, work and end together.

Fabric's launchers do not fit here: one starts the command anew, the other keeps the reason of a death to
itself. So processes are started here, and each joins Fabric's DDP as if torchrun had started it. Whatever
ends one of them ends all, with the likeliest reason.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

import torch
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from backend.errors import AvocadoError, ConfigError, TrainingError, describe_failure
from backend.training.optim import make_fabric, prepare_worker
from backend.training.processes import describe_death, exit_with_parent

T = TypeVar("T")
HOST = "127.0.0.1"
GRACE_SECONDS = 2.0
"""How long to listen on after the first failure: the others fail with it, and one of them may know why."""


class RankError(Exception):
    """A defect of ours in one of the processes; its traceback is the message."""


@dataclass(frozen=True)
class _Place:
    """Where a rank finds itself and the others."""

    rank: int
    devices: int
    device: str
    threads: int
    port: int

    def join(self) -> None:
        """Say so in the environment, where Fabric and torch look for it."""
        os.environ |= {
            "LOCAL_RANK": str(self.rank),
            "NODE_RANK": "0",
            "MASTER_ADDR": HOST,
            "MASTER_PORT": str(self.port),
            "TORCHELASTIC_USE_AGENT_STORE": "True",  # the parent holds the store: no race for a free port
        }


def require_devices(device: str, devices: int) -> None:
    """Check that a machine has as many devices as one training is to use.

    Raises:
        ConfigError: it has not.
    """
    there = torch.cuda.device_count() if device == "cuda" else 1 if device == "mps" else devices
    if devices > there:
        raise ConfigError(
            f"{devices} devices for one pretraining",
            where="--devices",
            expected=f"at most {there} {device} here",
            action="ask for fewer",
        )


def run_on_devices(work: Callable[..., T], devices: int, device: str, threads: int, *args: Any) -> T:
    """Call ``work(fabric, *args)`` in a process for each device, all at the same time.

    Args:
        work: importable; each process calls it with a Fabric that has joined the others.
        devices: how many.
        device: their kind: ``cuda``, or ``cpu``, where each has ``threads`` threads and they talk by gloo.
        threads: CPU threads of each process.
        args: travel by pickle.

    Returns:
        What the first rank returns; the others' results are dropped.

    Raises:
        ConfigError: fewer devices than that.
        TrainingError: a process died.
        RankError: a process met a defect of ours.
        Exception: the ``AvocadoError`` or ``torch.OutOfMemoryError`` of a process, as it was.
    """
    require_devices(device, devices)
    spawn = multiprocessing.get_context("spawn")
    store = TCPStore(HOST, 0, is_master=True, wait_for_workers=False)
    ranks: dict[Connection, SpawnProcess] = {}
    try:
        for rank in range(devices):
            ours, theirs = spawn.Pipe(duplex=False)
            place = _Place(rank, devices, device, threads, store.port)
            process = spawn.Process(target=_serve, args=(theirs, place, work, args), name=f"rank {rank}")
            process.start()
            theirs.close()  # so that the death of the process closes the pipe
            ranks[ours] = process
        found: T = _result(ranks)
        return found
    finally:
        for pipe, process in ranks.items():
            process.kill()
            process.join()
            pipe.close()


def _serve(pipe: Connection, place: _Place, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """The life of a rank: do the work, send what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it decides what happens to it
    exit_with_parent()
    place.join()
    prepare_worker(place.threads)
    try:
        fabric = make_fabric(place.device, place.devices)
        logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # it says how it starts
        fabric.launch()
        found = work(fabric, *args)
        pipe.send((time.monotonic(), found if place.rank == 0 else None))
    except (AvocadoError, torch.OutOfMemoryError) as error:
        pipe.send((time.monotonic(), error))
    except Exception as error:
        failed = time.monotonic()
        pipe.send((failed, RankError(f"rank {place.rank} of {place.devices}: {describe_failure(error)}")))


def _result(ranks: dict[Connection, SpawnProcess]) -> Any:
    """What the first rank sends; raises the likeliest cause as soon as any rank has failed."""
    first = next(iter(ranks))
    listening = list(ranks)
    failures: list[tuple[bool, float, Exception]] = []
    deadline = float("inf")
    while listening and time.monotonic() < deadline:
        for pipe in wait(listening, GRACE_SECONDS):
            assert isinstance(pipe, Connection)
            listening.remove(pipe)
            ended, found = _receive(pipe, ranks[pipe], len(ranks))
            if isinstance(found, Exception):
                failures.append((isinstance(found, RankError), ended, found))
                deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
            elif pipe is first and not failures:
                return found
    # A rank whose partner is gone fails too, later and with an error of the connection.
    raise min(failures, key=lambda failure: failure[:2])[2]


def _receive(pipe: Connection, process: SpawnProcess, count: int) -> tuple[float, Any]:
    """When a rank ended, on the clock that all processes share, and what with."""
    try:
        ended, found = pipe.recv()
        return ended, found
    except (EOFError, ConnectionResetError):
        process.join()
        reason = describe_death(process.exitcode or 0)
        death = TrainingError(f"{process.name} of {count} died: {reason}", action="start the study again")
        return time.monotonic(), death

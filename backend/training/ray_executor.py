"""Folds on a Ray cluster: no shared disk, lost machines are made good, and only the driver writes.

The context (data set and decoded images) is put into the object store once; each machine fetches it once and
its workers map it without a copy. Bundles come back the same way. Ray gives a task whose worker or machine is
lost to another one, a bounded number of times. See docs/cluster.md.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from backend.data.cache_memory import MemoryCache
from backend.errors import ConfigError
from backend.training.executor import Outcome, TimeLimit, run_safely, train
from backend.training.task import FoldTask, WorkerContext

if TYPE_CHECKING:
    from backend.training.execute import TaskFunction

TICK_SECONDS = 10.0
"""How often the executor says that it is still at it, and looks for machines that came or went."""
START_SECONDS = 300.0
"""Added to every limit: a machine that is new has to start a worker and import torch."""
RETRIES = 2
"""How often Ray gives a task to another worker after its own, or its machine, has died."""
WAITING = 1
"""Tasks handed to Ray beyond those that run, for each of these: whoever ends finds the next one there."""
SCRATCH = "AVOCADO_SCRATCH"
"""Environment variable: the folder for unfinished pretrainings; best one that all machines share."""
_LOCAL = re.compile(r"local:(\d+)")


def import_ray() -> ModuleType:
    """Ray, which is an extra.

    Raises:
        ConfigError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "Ray is not installed",
            where="--cluster",
            expected="the packages of requirements-cluster.txt",
            action="run: pip install -r requirements-cluster.txt",
        ) from error
    return ray


def connect(address: str, threads: int = 1) -> ModuleType:
    """Join the cluster at an address; once is enough.

    Args:
        address: ``auto`` (the cluster of this machine), ``host:port``, ``ray://host:port``, or ``local:N``
            for N nodes made of this machine's cores.
        threads: CPU threads of a worker; a local node can feed one at least.

    Raises:
        ConfigError: no Ray, or no cluster there.
    """
    ray = import_ray()
    if ray.is_initialized():
        return ray
    local = _LOCAL.fullmatch(address)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if local:
            options["address"] = _start_local(max(1, int(local[1])), threads)
        else:
            # The program travels with the job, so that machines need only its requirements.
            options |= {"address": address, "runtime_env": {"py_modules": [_package_folder()]}}
        _keep_signals(lambda: ray.init(**options))
    except Exception as error:  # Ray raises many types
        reason = str(error).strip().splitlines()
        raise ConfigError(
            f"no Ray cluster answers ({reason[0] if reason else type(error).__name__})",
            where=f"--cluster {address}",
            expected="auto, host:port, ray://host:port or local:N",
            action="start one with `ray start --head`, see docs/cluster.md",
        ) from error
    return ray


def _keep_signals(join: Callable[[], object]) -> None:
    """Join a cluster; Ray takes SIGTERM for itself, and a study would end without its last words."""
    handler = signal.getsignal(signal.SIGTERM)
    join()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def _package_folder() -> str:
    return str(Path(__file__).parent.parent)


def _start_local(nodes: int, threads: int) -> str:
    from ray.cluster_utils import Cluster

    cores = max(threads, (os.cpu_count() or 1) // nodes)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": cores, "include_dashboard": False},
        shutdown_at_exit=True,
    )
    for _ in range(nodes - 1):
        cluster.add_node(num_cpus=cores)
    cluster.wait_for_nodes()
    _clusters.append(cluster)
    return str(cluster.address)


_clusters: list[Any] = []
"""Keeps local clusters alive until this process ends."""


def cluster_device(address: str, wanted: str) -> str:
    """The device of the cluster's workers: ``auto`` is a GPU where it has any."""
    if wanted != "auto":
        return wanted
    return "cuda" if connect(address).cluster_resources().get("GPU") else "cpu"


def portable(context: WorkerContext) -> WorkerContext:
    """The context as it can be sent to a machine that shares no disk with this one."""
    scratch = os.environ.get(SCRATCH)
    folder = Path(scratch) if scratch else Path(tempfile.gettempdir()) / "avocado-checkpoints"
    if context.scratch is not None:  # one folder a store, as beside it
        folder /= context.scratch.name
    return replace(context, cache=MemoryCache.of(context.cache), scratch=folder)


@functools.lru_cache(maxsize=1)
def _fetch(reference: Any) -> WorkerContext:
    """The context behind a reference, unpacked once by each worker instead of by each task."""
    context: WorkerContext = import_ray().get(reference)
    return context


def _work(task: FoldTask, references: list[Any], function: TaskFunction) -> Outcome:
    """What a worker of the cluster does; a reference in a list is not unpacked by Ray."""
    context = _fetch(references[0])
    outcome = run_safely(function, task, context)
    checkpoint = context.checkpoint(task.run_id, task.fold) if outcome.bundle is not None else None
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    # The weights it started from need not come back.
    return replace(outcome, task=replace(task, weights=None))


@dataclass
class _Flying:
    """A task on its way, and until when; one that still waits for a worker has no end yet."""

    task: FoldTask
    limit: float
    deadline: float = float("inf")


class RayExecutor:
    """Runs folds on a Ray cluster, as many at a time as its CPUs or GPUs allow.

    Args:
        context: the data.
        address: see ``connect``.
        threads: CPUs that a fold takes.
        gpu_share: GPUs that a fold takes where the device is one, e.g. 0.25 = four folds share one.
        limit: when a fold counts as hung.
        function: what does a task; importable on every machine.
    """

    def __init__(
        self,
        context: WorkerContext,
        address: str,
        threads: int = 1,
        gpu_share: float = 1.0,
        limit: TimeLimit | None = None,
        function: TaskFunction = train,
    ) -> None:
        self._ray = connect(address, threads)
        self._threads, self._limit, self._function = threads, limit or TimeLimit(), function
        self._gpus = gpu_share if context.device == "cuda" else 0.0
        self._context = [self._ray.put(portable(context))]
        self._remote = self._ray.remote(_work).options(
            num_cpus=threads, num_gpus=self._gpus, max_retries=RETRIES, retry_exceptions=False
        )
        self._flying: dict[Any, _Flying] = {}
        self._looked, self._workers = 0.0, 1

    @property
    def workers(self) -> int:
        """Folds that the cluster can run at a time; machines may come and go."""
        if time.monotonic() - self._looked > TICK_SECONDS or not self._looked:
            resources = self._ray.cluster_resources()
            places = [resources.get("CPU", 0.0) / self._threads]
            if self._gpus:
                places.append(resources.get("GPU", 0.0) / self._gpus)
            self._workers, self._looked = max(1, int(min(places))), time.monotonic()
        return self._workers

    def run(self, tasks: Iterable[FoldTask]) -> Generator[Outcome | None]:
        """Run the tasks and yield outcomes as they come."""
        queue = iter(tasks)
        exhausted = False
        try:
            while True:
                while not exhausted and len(self._flying) < (1 + WAITING) * self.workers:
                    task = next(queue, None)
                    if task is None:
                        exhausted = True
                    else:
                        self._start(task)
                if not self._flying:
                    return
                yield from self._collect() or (None,)
        finally:
            self._give_up()

    def _start(self, task: FoldTask) -> None:
        remote, devices = self._remote, task.config.devices
        if devices > 1:  # all on one machine; several devices are whole ones
            remote = remote.options(num_cpus=devices * self._threads, num_gpus=devices * bool(self._gpus))
        reference = remote.remote(task, self._context, self._function)
        self._flying[reference] = _Flying(task, self._limit.seconds(task))

    def _collect(self) -> list[Outcome]:
        """Wait until a task ends or has taken too long."""
        now = time.monotonic()
        for flying in islice(self._flying.values(), self.workers):  # Ray starts them in this order
            if flying.deadline == float("inf"):
                flying.deadline = now + flying.limit + START_SECONDS
        patience = min(TICK_SECONDS, *(max(0.0, flying.deadline - now) for flying in self._flying.values()))
        ready, _ = self._ray.wait(list(self._flying), num_returns=1, timeout=patience)
        outcomes = [self._receive(reference) for reference in ready]
        for reference, flying in list(self._flying.items()):
            if time.monotonic() >= flying.deadline:
                self._ray.cancel(reference, force=True)
                del self._flying[reference]
                reason = f"the worker failed: no end after {flying.limit:.0f} s: it was stopped"
                outcomes.append(Outcome(flying.task, None, reason))
        return outcomes

    def _receive(self, reference: Any) -> Outcome:
        task = self._flying.pop(reference).task
        try:
            outcome: Outcome = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return Outcome(task, None, f"the worker failed: {str(error).strip()}")
        outcome = replace(outcome, task=task)
        self._limit.learn(outcome)
        return outcome

    def _give_up(self) -> None:
        for reference in self._flying:
            self._ray.cancel(reference, force=True)
        self._flying.clear()

    def close(self) -> None:
        """Give up what is on its way and leave the cluster."""
        self._give_up()
        self._ray.shutdown()
        while _clusters:
            _clusters.pop().shutdown()

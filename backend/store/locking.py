"""One writer a store, held by the kernel: a lock that no crash can leave behind.

The lock file says who holds it, and is emptied by whoever leaves in order. A name whose process is gone is
therefore that of a writer that was killed, which readers can tell without touching the lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from backend.errors import StoreError

PAUSES = (0.02, 0.05, 0.1, 0.0)
"""Seconds between tries: ``lock_holder`` shares the lock for an instant, which is no second writer."""


def lock_path(store: Path) -> Path:
    """The lock file that stands beside a store."""
    return store.with_name(store.name + ".lock")


def lock_holder(store: Path) -> dict[str, Any] | None:
    """Who writes to ``store`` now: pid, host and purpose; None if nobody does."""
    path = lock_path(store)
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(path)
    finally:
        os.close(handle)
    return None


def writer_was_killed(store: Path) -> bool:
    """Whether the last writer of ``store`` ended without a word: whatever says ``running`` in there does not.

    Only the lock file is read, so asking keeps nobody out. False also where nothing can be known, because
    that writer ran on another machine or in another container; its heartbeat then has to tell.
    """
    holder = _read_holder(lock_path(store))
    if holder.get("place") != (_place() or None):
        return False
    return _started(holder.get("pid")) != holder.get("started")


def _place() -> str:
    """Where a process id means something: this boot of this kernel, this namespace; empty = not known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: object) -> str | None:
    """When a process of this place started, in the kernel's ticks; None once it has ended, reaped or not.

    Ids are used again, so that the id alone does not tell a process from its successor.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, started = fields[0], fields[19]
    return None if state in "ZX" else started


def _read_holder(path: Path) -> dict[str, Any]:
    try:
        holder = json.loads(path.read_text())
    except (OSError, ValueError):
        holder = {}
    return holder if isinstance(holder, dict) else {}


class StoreLock:
    """An exclusive lock beside a store, from construction to ``release``.

    The kernel drops it when the process ends, however it ends. A forked child lets go of its copy, so that
    workers that outlive a killed driver do not keep the store locked.
    """

    def __init__(self, store: Path, purpose: str = "") -> None:
        """Take the lock.

        Args:
            store: the store; the lock is ``<store>.lock`` beside it.
            purpose: what for, shown to whoever finds the store locked.

        Raises:
            StoreError: another writer holds it, or the folder cannot be written.
        """
        self.path = lock_path(store)
        try:
            self._handle: int | None = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(
                f"the lock file cannot be written ({error.strerror})",
                where=str(self.path),
                action="make the folder writable or pass another --store",
            ) from error
        if not self._acquire():
            self._drop()
            raise self._held(store)
        assert self._handle is not None
        pid = os.getpid()
        holder = {"pid": pid, "host": platform.node(), "purpose": purpose}
        holder |= {"place": _place(), "started": _started(pid)}
        with suppress(OSError):  # on a full disk the lock holds all the same, only without a name on it
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, json.dumps(holder).encode(), 0)
        os.register_at_fork(after_in_child=self._drop)

    def _acquire(self) -> bool:
        assert self._handle is not None
        for pause in PAUSES:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(pause)
            else:
                return True
        return False

    def _held(self, store: Path) -> StoreError:
        holder = _read_holder(self.path)
        who = f": process {holder['pid']} on {holder.get('host')}" if "pid" in holder else ""
        purpose = f" ({holder['purpose']})" if holder.get("purpose") else ""
        return StoreError(
            f"another writer has the store{who}{purpose}",
            where=str(store),
            expected="one writer at a time",
            action="wait for it, end it, or pass another --store",
        )

    def _drop(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def release(self, *, in_order: bool = True) -> None:
        """Let the next writer in; safe to call twice.

        Args:
            in_order: False leaves the name of this process behind, for something may still be called running.
        """
        if in_order and self._handle is not None:
            with suppress(OSError):
                os.ftruncate(self._handle, 0)
        self._drop()

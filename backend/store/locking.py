"""One writer a store, held by the kernel: a lock that no crash can leave behind."""

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
        holder = {"pid": os.getpid(), "host": platform.node(), "purpose": purpose}
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
        pid, host, purpose = (holder.get(key) for key in ("pid", "host", "purpose"))
        return StoreError(
            f"another writer has the store: process {pid} on {host}" + (f" ({purpose})" if purpose else ""),
            where=str(store),
            expected="one writer at a time",
            action="wait for it, end it, or pass another --store",
        )

    def _drop(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def release(self) -> None:
        """Let the next writer in; safe to call twice."""
        self._drop()

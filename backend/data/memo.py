"""Small files in the cache folder that only save time: whole or ignored, and never a reason to stop."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

_CHECKSUM_BYTES = 16


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECKSUM_BYTES).digest()


def read_memo(path: Path) -> bytes | None:
    """What was written to ``path``; None where it is missing or damaged."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    body, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
    return body if checksum == _checksum(body) else None


def write_memo(path: Path, body: bytes) -> None:
    """Write ``path`` at once; a full or read-only disk costs the next start its time and nothing else."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(body + _checksum(body))
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()

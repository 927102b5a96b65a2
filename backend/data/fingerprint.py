"""Content fingerprints: which data a number was earned on.

``dataset_id`` covers manifest, ``dataset.toml`` and the bytes of every image, so the same folder has the
same id on every machine and any change gives another. Hashing 400,000 files takes minutes, so the hash
of a file is remembered by (path, size, time of change) in a small file of the cache folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.data.memo import read_memo, write_memo
from backend.data.problem import shown
from backend.data.spec import Spec

DIGEST_BYTES = 16
_RECORD_BYTES = 2 * DIGEST_BYTES
_SETTLED_SECONDS = 2.0
"""A file changed less than this long ago is not remembered: coarse clocks would hide a second change."""


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def short_hash(value: Any) -> str:
    """16 hex digits over a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def dataset_fingerprint(
    spec: dict[str, Any],
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    digests: dict[str, bytes],
    files: Sequence[str],
) -> str:
    """16 hex digits over everything a data set holds.

    Encoding, line ends and quoting of the manifest and comments of ``dataset.toml`` do not count; the
    order of rows and columns does, because arrays follow it.

    Args:
        spec: the parsed ``dataset.toml``.
        header: the manifest's column names.
        rows: the manifest's cells.
        digests: path to hash of its bytes.
        files: the images in the manifest's order, "" = missing.
    """
    return short_hash([spec, header, rows, images_fingerprint(files, digests)])


def images_fingerprint(files: Iterable[str], digests: dict[str, bytes]) -> str:
    """32 hex digits over the bytes of ``files`` in this order; "" = a missing view."""
    missing = bytes(DIGEST_BYTES)
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for path in files:
        state.update(digests[path] if path else missing)
    return state.hexdigest()


def label_fingerprint(spec: Spec, fruit_ids: Sequence[str], labels: NDArray[np.float32]) -> str:
    """16 hex digits over ids and labels alone; the order of the rows does not count."""
    names = [defect.name for defect in spec.defects]
    codes = np.nan_to_num(labels, nan=-1).astype(int).tolist()
    return short_hash([spec.task, names, sorted(zip(fruit_ids, codes, strict=True))])


class FileHashes:
    """Hashes of the files of one folder, remembered between runs."""

    def __init__(self, root: Path, cache_dir: Path | None) -> None:
        """Hash files below ``root``; remember them in ``cache_dir``, or nowhere if None."""
        self._root = str(root)
        name = f"hashes-{_digest(os.path.realpath(root).encode('utf-8', 'surrogateescape')).hex()}.bin"
        self._memo = None if cache_dir is None else cache_dir / name

    def digests(self, files: Iterable[str]) -> tuple[dict[str, bytes], dict[str, str]]:
        """Hash ``files`` (paths relative to the root; "" is skipped).

        Returns:
            Path to 16-byte hash, and for files that cannot be read path to what is wrong.
        """
        known = self._load()
        digests: dict[str, bytes] = {}
        failures: dict[str, str] = {}
        records: dict[bytes, bytes] = {}
        unknown: list[str] = []
        # Looking up stays in one thread: 400,000 futures alone would cost more than the whole look-up.
        for path in dict.fromkeys(path for path in files if path):
            key = self._key(path)
            if key in known:
                digests[path] = records[key] = known[key]
            else:
                unknown.append(path)
        with ThreadPoolExecutor() as threads:
            for path, (key, digest, failure) in zip(unknown, threads.map(self._hash, unknown), strict=True):
                if failure:
                    failures[path] = failure
                    continue
                digests[path] = digest
                if key:
                    records[key] = digest
        if records != known:
            self._save(records)
        return digests, failures

    def _key(self, path: str) -> bytes:
        """What stands for a file's present content in the memo; b"" = a file that must be read."""
        try:
            status = os.stat(f"{self._root}/{path}")  # noqa: PTH116 - a Path per file would double the time
        except OSError:
            return b""
        if time.time() - status.st_mtime < _SETTLED_SECONDS:
            return b""
        return _digest(f"{path}\0{status.st_size}\0{status.st_mtime_ns}".encode())

    def _hash(self, path: str) -> tuple[bytes, bytes, str]:
        """(memo key, hash, what went wrong) of one file."""
        try:
            key = self._key(path)
            with Path(self._root, path).open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).digest()
        except OSError as error:
            return b"", b"", f"image {shown(path)} cannot be read ({error.strerror}); check its permissions"
        return key, digest, ""

    def _load(self) -> dict[bytes, bytes]:
        """Memo key to hash."""
        body = (read_memo(self._memo) if self._memo else None) or b""
        starts = range(0, len(body), _RECORD_BYTES)
        return {body[i : i + DIGEST_BYTES]: body[i + DIGEST_BYTES : i + _RECORD_BYTES] for i in starts}

    def _save(self, records: dict[bytes, bytes]) -> None:
        if self._memo:
            write_memo(self._memo, b"".join(key + digest for key, digest in records.items()))

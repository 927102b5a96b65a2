"""The image columns of ``manifest.csv``: every path is a file inside the data set folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from backend.data.cells import FIRST_ROW, Rows
from backend.data.columns import Columns
from backend.data.problem import Problems, shown

Paths = dict[tuple[str, str], tuple[str, ...]]


class FolderGuard:
    """Tells whether relative paths are regular files that truly lie inside one folder.

    Folders are resolved once each, so the cost per file is one ``lstat``.
    """

    def __init__(self, root: Path) -> None:
        """Guard ``root``, an existing folder."""
        self._root = root
        self._real_root = os.path.realpath(root)
        self._parents: dict[str, bool] = {}

    def fault(self, path: str) -> str | None:
        """What is wrong with ``path`` (relative, normalised), as a message; None = nothing."""
        if "\\" in path:
            return f"found {shown(path)}; expected / between folders, not \\"
        if path.startswith("/") or path[1:2] == ":":
            return f"absolute path {shown(path)}; expected one relative to the data set folder"
        if ".." in path.split("/"):
            return f"path {shown(path)} leaves the data set folder; keep images inside it"
        try:
            return self._file_fault(path)
        except FileNotFoundError:
            return f"missing image {shown(path)}; add the file or leave the cell empty"
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            return f"image {shown(path)} cannot be reached ({reason}); check the path"

    def _file_fault(self, path: str) -> str | None:
        full = f"{self._root}/{path}"
        parent = os.path.dirname(full)  # noqa: PTH120 - a Path per file would double the time
        status = os.lstat(full)
        if stat.S_ISLNK(status.st_mode):
            inside = self._is_inside(os.path.realpath(full, strict=True))
            status = os.stat(full)  # noqa: PTH116
        else:
            if parent not in self._parents:
                self._parents[parent] = self._is_inside(os.path.realpath(parent))
            inside = self._parents[parent]
        if not inside:
            return f"path {shown(path)} leaves the data set folder through a link; copy the image into it"
        if not stat.S_ISREG(status.st_mode):
            return f"{shown(path)} is not a file; name an image"
        return None

    def _is_inside(self, real: str) -> bool:
        return os.path.commonpath([real, self._real_root]) == self._real_root


def read_paths(
    rows: Rows, columns: Columns, groups: tuple[str, ...], root: Path, problems: Problems
) -> Paths:
    """(modality, view) to n normalised paths relative to ``root``; "" = that view is missing.

    A file that stands for fruit of two groups is refused: training and test would share it.
    """
    guard = FolderGuard(root)
    owners: dict[str, tuple[str, int]] = {}
    paths: Paths = {}
    for (modality, view), position in columns.images.items():
        column = f"image:{modality}:{view}"
        found = []
        for number, (cells, group) in enumerate(zip(rows, groups, strict=True), start=FIRST_ROW):
            path = cells[position]
            if "//" in path or "./" in path:
                path = str(PurePosixPath(path))  # keeps "..", which ``fault`` refuses
            found.append(path)
            if not path:
                continue
            if fault := guard.fault(path):
                problems.cell(number, column, fault)
            owner, row = owners.setdefault(path, (group, number))
            if owner != group:
                message = f"{shown(path)} is also an image of row {row}, in another group"
                message += "; correct the path or the group"
                problems.cell(number, column, message)
        paths[modality, view] = tuple(found)
    return paths

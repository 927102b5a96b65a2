"""What is wrong with a data set, one line a problem, and how a reader refuses it."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from backend.errors import DataError

ERROR, WARNING = "error", "warning"

MANIFEST_FILE = "manifest.csv"
SPEC_FILE = "dataset.toml"

_LONGEST_SHOWN = 160
_shorten = reprlib.Repr()
_shorten.maxstring = _LONGEST_SHOWN
_shorten.maxother = _LONGEST_SHOWN


def shown(value: object) -> str:
    """A value as a message quotes it: escaped, and cut in the middle where it is long."""
    return _shorten.repr(value)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a data set.

    Attributes:
        severity: ``error`` = the data set is refused; ``warning`` = results stay right, look at it.
        file: the file that holds it, relative to the data set folder.
        row: row of the manifest as a spreadsheet counts (the header is row 1); None = not in one row.
        column: name of the manifest's column or key of ``dataset.toml``; "" = not in one.
        message: found; expected; what to do.
    """

    severity: str
    file: str
    row: int | None
    column: str
    message: str

    @property
    def where(self) -> str:
        """File, row and column as words."""
        row = "" if self.row is None else f" row {self.row}"
        word = "column " if self.file == MANIFEST_FILE else ""
        plain = self.column.isprintable() and self.column == self.column.strip()
        readable = plain and len(self.column) <= _LONGEST_SHOWN
        column = f", {word}{self.column if readable else shown(self.column)}" if self.column else ""
        return f"{self.file}{row}{column}"

    def __str__(self) -> str:
        """One line."""
        return " ".join(f"{self.severity}: {self.where}: {self.message}".split())

    def to_dict(self) -> dict[str, Any]:
        """The problem as plain JSON types."""
        return asdict(self)


class Problems(list[Problem]):
    """Problems in the order in which they were found."""

    def error(self, file: str, message: str, *, row: int | None = None, column: str = "") -> None:
        """Note something that makes the data set unusable."""
        self.append(Problem(ERROR, file, row, column, message))

    def warning(self, file: str, message: str, *, row: int | None = None, column: str = "") -> None:
        """Note something to look at."""
        self.append(Problem(WARNING, file, row, column, message))

    def cell(self, row: int, column: str, message: str) -> None:
        """Note an error in one cell of the manifest."""
        self.error(MANIFEST_FILE, message, row=row, column=column)

    @property
    def errors(self) -> list[Problem]:
        """Those that refuse the data set."""
        return [problem for problem in self if problem.severity == ERROR]


def refuse(problems: Iterable[Problem], root: Path) -> NoReturn:
    """Raise one error for all ``problems``: the first in full and the number of the others.

    Raises:
        DataError: always.
    """
    first, *others = [problem for problem in problems if problem.severity == ERROR]
    action = f"and {len(others)} more; run `python -m backend.data check {root}`" if others else ""
    raise DataError(first.message, where=f"{root}/{first.where}", action=action)

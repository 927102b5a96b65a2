"""Markdown from values of the store: tables and numbers, with names that cannot break the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "not stated"
"""What stands for text that nobody wrote."""

_SPECIAL = str.maketrans({"|": "\\|", "<": "&lt;", ">": "&gt;", "`": "'", "\n": " ", "\r": " "})


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a query, with None for whatever is missing."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def plain(text: object) -> str:
    """Text from outside, as it reads: no table, tag or new line begins in it."""
    return str(text).translate(_SPECIAL).strip() or UNKNOWN


def number(value: float | None, digits: int = 3) -> str:
    """A number, or a dash where it is undefined."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    """A share of one as a percentage."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table and the empty line after it; nothing where there is no row."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    if not lines:
        return []
    return ["| " + " | ".join(header) + " |", "|" + "---|" * len(header), *lines, ""]


def section(title: str, lines: Iterable[str]) -> list[str]:
    """A heading and what stands below it; nothing where nothing does."""
    body = list(lines)
    return [f"## {title}", "", *body, *([""] if body and body[-1] else [])] if body else []

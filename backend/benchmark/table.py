"""A table of results: for the terminal, for JSON and for Markdown; of the store it knows nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Score:
    """A measured number.

    Attributes:
        value: mean over the repetitions; None = undefined or not measured.
        low: lower end of the 95 % interval, None = unknown.
        high: its upper end.
        n: repetitions (seeds) behind it.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 1

    def __str__(self) -> str:
        """The value with its interval, as tables show it."""
        if self.value is None or math.isnan(self.value):
            return "–"
        text = plain(self.value)
        if self.low is not None and self.high is not None:
            text += f" [{plain(self.low)}, {plain(self.high)}]"
        return text


Cell = Score | float | str | None
"""A number of ours, a published number, words, or nothing."""


def plain(value: float) -> str:
    """Three decimals, without the zero before the point; fewer where the number is large."""
    if abs(value) >= 10:
        return f"{value:,.1f}"
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        title: what it shows.
        columns: names of the columns.
        rows: cells, as many as columns.
        notes: what a reader has to know, one sentence each.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        """Check the shape."""
        assert all(len(row) == len(self.columns) for row in self.rows), self.title

    def text(self) -> str:
        """For the terminal: columns aligned."""
        lines = [self.columns, *([_shown(cell) for cell in row] for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        lines.insert(1, ["-" * width for width in widths])
        drawn = [
            "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        return "\n".join([self.title, "", *drawn, *(f"· {note}" for note in self.notes)])

    def markdown(self) -> str:
        """For docs/results.md."""
        lines = [self.columns, ["---"] * len(self.columns), *([_shown(c) for c in row] for row in self.rows)]
        drawn = ["| " + " | ".join(word.replace("|", "\\|") for word in line) + " |" for line in lines]
        notes = [f"- {note}" for note in self.notes]
        return "\n".join([f"**{self.title}**", "", *drawn, *(["", *notes] if notes else [])])

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types; a score keeps its interval and its number of repetitions."""
        rows = [dict(zip(self.columns, map(_json, row), strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": list(self.notes)}


def _shown(cell: Cell) -> str:
    if isinstance(cell, float):
        return plain(cell) if math.isfinite(cell) else "–"
    return "" if cell is None else str(cell)


def _json(cell: Cell) -> Any:
    if isinstance(cell, Score):
        return {"value": cell.value, "ci_low": cell.low, "ci_high": cell.high, "n": cell.n}
    return cell


def pooled(scores: Sequence[Score]) -> Score:
    """One score from several repetitions of the same measurement.

    Each repetition has the interval of its own test fruit; the ends are averaged. Repetitions without an
    interval give the t interval of their mean, where there are at least two of them.
    """
    known = [score for score in scores if score.value is not None and math.isfinite(score.value)]
    if not known:
        return Score(None, n=0)
    mean = math.fsum(score.value or 0.0 for score in known) / len(known)
    if all(score.low is not None and score.high is not None for score in known):
        low = math.fsum(score.low or 0.0 for score in known) / len(known)
        high = math.fsum(score.high or 0.0 for score in known) / len(known)
        return Score(mean, low, high, len(known))
    if len(known) == 1:
        return Score(mean)
    from scipy.stats import t

    spread = math.sqrt(math.fsum(((s.value or 0.0) - mean) ** 2 for s in known) / (len(known) - 1))
    half = float(t.ppf(0.975, len(known) - 1)) * spread / math.sqrt(len(known))
    return Score(mean, mean - half, mean + half, len(known))

"""Confusion counts as the cells of a matrix: texts, shares and shades. Pure."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dashboard import texts
from dashboard.format import count, missing, percent, signed_count, signed_hundred
from dashboard.names import defect_words
from dashboard.scores import OUTCOMES

CELLS = {
    "tp": ("with", "with"),
    "fn": ("with", "without"),
    "fp": ("without", "with"),
    "tn": ("without", "without"),
}
"""Outcome to (truth, said)."""


def sides(*, multiclass: bool) -> tuple[str, str]:
    """How the two rows of a matrix are called: fruit with the defect, or of the class, and the others."""
    words = texts.DEFECTS
    return (words["this_class"], words["other_class"]) if multiclass else (words["with"], words["without"])


def cell_of(outcome: str, names: tuple[str, str]) -> tuple[str, str]:
    """Truth and decision of an outcome as the matrix names them."""
    truth, said = (names[0 if side == "with" else 1] for side in CELLS[outcome])
    return truth, said


def outcome_of(truth: str, said: str, names: tuple[str, str]) -> str:
    """The outcome of a cell that was clicked."""
    return next(outcome for outcome in OUTCOMES if cell_of(outcome, names) == (truth, said))


def matrix_rows(counts: dict[str, int], show: str, names: tuple[str, str]) -> pd.DataFrame:
    """The four cells of one defect.

    Args:
        counts: ``tp``, ``fp``, ``fn``, ``tn``.
        show: ``counts``, ``row`` (of each truth) or ``column`` (of each decision).
        names: see ``sides``.

    Returns:
        truth, said, n, share, large, small, shade, quiet.
    """
    rows = []
    for outcome in OUTCOMES:
        truth, said = cell_of(outcome, names)
        same = 0 if show != "column" else 1
        total = sum(counts[other] for other in OUTCOMES if CELLS[other][same] == CELLS[outcome][same])
        share = counts[outcome] / total if total else None
        name = texts.OUTCOMES[outcome]
        large, small = count(counts[outcome]), f"{percent(share)} {name}"
        if show != "counts":
            large, small = percent(share), f"{count(counts[outcome])} {name}"
        rows.append(
            {
                "truth": truth,
                "said": said,
                "n": counts[outcome],
                "share": share,
                "large": large,
                "small": small,
                "shade": share or 0.0,
                "quiet": int(outcome == "tn"),
            }
        )
    return pd.DataFrame(rows)


def matrix_difference(ours: dict[str, int], theirs: dict[str, int], names: tuple[str, str]) -> pd.DataFrame:
    """The four cells of one defect as ours minus theirs.

    Returns:
        truth, said, n (difference of counts), share (difference of the shares of each truth), large, small,
        shade, quiet.
    """
    a, b = (matrix_rows(counts, "row", names) for counts in (ours, theirs))
    share = a["share"].astype(float) - b["share"].astype(float)
    moved = a["n"] - b["n"]
    return a.assign(
        n=moved,
        share=share,
        large=[texts.DEFECTS["points"].format(n=signed_hundred(value)) for value in share],
        small=[texts.DEFECTS["moved"].format(n=signed_count(value)) for value in moved],
        shade=share.fillna(0.0),
        quiet=0,
    )


def class_rows(confusion: pd.DataFrame, order: tuple[str, ...], healthy: str, show: str) -> pd.DataFrame:
    """The cells of a full class matrix, empty ones included.

    Args:
        confusion: true_class, predicted_class, n.
        order: the classes.
        healthy: whose correct cell is dimmed.
        show: see ``matrix_rows``.

    Returns:
        truth, said, n, share, large, small, shade, quiet.
    """
    n = np.zeros((len(order), len(order)), dtype=int)
    place = {name: i for i, name in enumerate(order)}
    for truth, said, cell in zip(*(confusion[name] for name in confusion.columns), strict=True):
        if truth in place and said in place:
            n[place[truth], place[said]] = cell
    totals = n.sum(axis=0 if show == "column" else 1, keepdims=True)
    with np.errstate(invalid="ignore"):
        shares = n / totals
    rows = []
    for i, truth in enumerate(order):
        for j, said in enumerate(order):
            share = float(shares[i, j])
            texts_of = (count(n[i, j]), percent(share))
            large, small = texts_of if show == "counts" else texts_of[::-1]
            rows.append(
                {
                    "truth": defect_words(truth),
                    "said": defect_words(said),
                    "n": int(n[i, j]),
                    "share": share,
                    "large": large,
                    "small": small,
                    "shade": 0.0 if missing(share) else share,
                    "quiet": int(truth == said == healthy),
                }
            )
    return pd.DataFrame(rows)


def class_difference(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Two class matrices as ours minus theirs; see ``matrix_difference``."""
    share = ours["n"] / ours.groupby("truth")["n"].transform("sum")
    other = theirs["n"] / theirs.groupby("truth")["n"].transform("sum")
    moved = ours["n"] - theirs["n"]
    return ours.assign(
        n=moved,
        share=share - other,
        large=[signed_hundred(value) for value in share - other],
        small=[signed_count(value) for value in moved],
        shade=(share - other).fillna(0.0),
        quiet=0,
    )

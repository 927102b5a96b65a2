"""Rows of metrics and comparisons, picked by what they are about. Pure."""

from __future__ import annotations

from typing import Any

import pandas as pd


def of_defect(rows: pd.DataFrame, defect: str | None) -> pd.DataFrame:
    """The rows about one defect.

    Args:
        rows: with a column ``defect``, None where a row is about all of them together.
        defect: its name; None = all together.
    """
    return rows[rows["defect"].isna() if defect is None else rows["defect"] == defect]


def each_row(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Each row as a dictionary from column to value."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]

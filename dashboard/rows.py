"""Rows of metrics and comparisons, picked by what they are about. Pure."""

from __future__ import annotations

import pandas as pd


def of_defect(rows: pd.DataFrame, defect: str | None) -> pd.DataFrame:
    """The rows about one defect.

    Args:
        rows: with a column ``defect``, None where a row is about all of them together.
        defect: its name; None = all together.
    """
    return rows[rows["defect"].isna() if defect is None else rows["defect"] == defect]

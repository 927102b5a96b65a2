"""Errors in money, at the prices of the data set. Pure."""

from __future__ import annotations

import numpy as np
import pandas as pd

from backend.store.queries.catalog import DatasetFacts
from dashboard.scores import PER


def prices(dataset: DatasetFacts) -> dict[str, tuple[float, float]]:
    """Defect to the price of a miss and of a false alarm, in money a fruit.

    The healthy class of a multiclass data set has no price of its own: missing it is a false alarm of
    another class, and is counted there.
    """
    return {
        defect.name: (0.0, 0.0)
        if defect.name == dataset.healthy
        else (defect.cost_miss, defect.cost_false_alarm)
        for defect in dataset.defects
    }


def same_prices(dataset: DatasetFacts) -> bool:
    """Whether every error has the same price, so that nobody has set them."""
    return len({price for d in dataset.defects for price in (d.cost_miss, d.cost_false_alarm)}) <= 1


def priced(dataset: DatasetFacts, counts: pd.DataFrame) -> pd.DataFrame:
    """What the errors on each defect cost for 1,000 fruit.

    Args:
        dataset: has the prices.
        counts: defect, tp, fp, fn, tn.

    Returns:
        ``counts`` with misses, alarms and total, in money per 1,000 fruit; NaN without a labelled fruit.
    """
    table = prices(dataset)
    price = np.array([table.get(str(name), (1.0, 1.0)) for name in counts["defect"]]).reshape(-1, 2)
    fruit = counts[["tp", "fp", "fn", "tn"]].sum(axis=1).to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        misses = PER * counts["fn"].to_numpy(float) * price[:, 0] / fruit
        alarms = PER * counts["fp"].to_numpy(float) * price[:, 1] / fruit
    return counts.assign(misses=misses, alarms=alarms, total=misses + alarms)

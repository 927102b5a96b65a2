"""Defects in their fixed order, and both sides of each for the defect-by-defect chart. Pure."""

from __future__ import annotations

from typing import Any

import pandas as pd

from backend.store.queries.catalog import DatasetFacts
from dashboard import texts
from dashboard.answers import UNTESTED, test_verdict
from dashboard.contenders import Contender
from dashboard.format import count, missing, number, per_hundred, percent, signed, signed_hundred
from dashboard.names import defect_words
from dashboard.theme import EXTERNAL, INTERNAL

FEW = 20
"""Fewer fruit with a defect than this make its numbers shaky."""


def fixed_order(dataset: DatasetFacts, counts: pd.DataFrame) -> tuple[str, ...]:
    """The order of defects on every page: internal first, then external, each by frequency; healthy last.

    Args:
        dataset: the data set.
        counts: see ``catalog.defect_counts``.
    """
    positives = dict(zip(counts["defect"], counts["positives"], strict=True))
    rank = {INTERNAL: 0, EXTERNAL: 1}
    kinds = {defect.name: rank.get(defect.kind, 2) for defect in dataset.defects}
    return tuple(
        sorted(kinds, key=lambda name: (name == dataset.healthy, kinds[name], -positives.get(name, 0), name))
    )


def defect_rows(
    order: tuple[str, ...],
    sides: dict[str, Contender],
    metrics: pd.DataFrame,
    tests: pd.DataFrame,
    metric: str,
    n: dict[str, int] | None = None,
) -> pd.DataFrame:
    """Both sides of every defect for ``charts.defects.defect_by_defect``.

    Args:
        order: the defects to show.
        sides: ``reference`` and ``challenger``; either may be absent.
        metrics: see ``results.pooled_metrics``.
        tests: see ``results.comparisons``; challenger minus reference.
        metric: ``recall`` (shown of 100) or ``mcc``.
        n: fruit with each defect, said beside its name.

    Returns:
        defect, side, run, value, low, high, text, gap, delta, verdict and heading (the defect, once).
    """
    scale = 100.0 if metric == "recall" else 1.0
    wanted = metrics[(metrics["metric"] == metric) & metrics["defect"].isin(order)]
    deltas = _by_defect(tests[tests["metric"] == metric])
    rows = []
    for side, contender in sides.items():
        own = _by_defect(wanted[wanted["run_id"] == contender.run_id])
        for defect in order:
            row, test = own.get(defect), deltas.get(defect)
            value = None if row is None or missing(row["value"]) else scale * float(row["value"])
            argued = side == "challenger" and len(sides) > 1
            rows.append(
                {
                    "defect": defect_words(defect),
                    "side": side,
                    "run": contender.run_id,
                    "value": value,
                    "low": None if row is None or missing(row["ci_low"]) else scale * float(row["ci_low"]),
                    "high": None if row is None or missing(row["ci_high"]) else scale * float(row["ci_high"]),
                    "text": texts.OVERVIEW["undefined"] if value is None else _side_text(value, metric),
                    "gap": _gap(test, metric)
                    if argued
                    else ""
                    if len(sides) > 1
                    else _side_text(value, metric),
                    "delta": None if test is None or not argued else test["delta"],
                    "verdict": test_verdict(test) if argued and test is not None else "",
                }
            )
    frame = pd.DataFrame(rows)
    heads = {defect_words(name): headed(name, (n or {}).get(name)) for name in order}
    return frame.assign(heading=frame["defect"].map(heads).where(~frame["defect"].duplicated(), ""))


def headed(defect: str, n: int | None) -> str:
    """A defect with the number of fruit that have it, where that is known."""
    return defect_words(defect) if n is None else f"{defect_words(defect)} ({count(n)})"


def _by_defect(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    records = [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]
    return {row["defect"]: row for row in records}


def _side_text(value: float | None, metric: str) -> str:
    if value is None:
        return ""
    return (
        texts.OVERVIEW["of_hundred"].format(n=per_hundred(value / 100))
        if metric == "recall"
        else number(value)
    )


def _gap(test: dict[str, Any] | None, metric: str) -> str:
    """The difference in words; grey words where it is not clear."""
    if test is None or missing(test["delta"]):
        return texts.VERDICTS[UNTESTED].lower()
    size = signed_hundred(test["delta"]) if metric == "recall" else signed(test["delta"])
    verdict = test_verdict(test)
    return size if verdict in ("better", "worse") else texts.OVERVIEW["unclear"].format(n=size)


def balance_rows(order: tuple[str, ...], counts: pd.DataFrame) -> pd.DataFrame:
    """How many fruit have each defect.

    Returns:
        defect, positives, labelled, text.
    """
    known = counts.set_index("defect").reindex(list(order)).fillna(0).astype(int)
    shares = known["positives"] / known["labelled"].where(known["labelled"] > 0)
    return pd.DataFrame(
        {
            "defect": [defect_words(name) for name in order],
            "positives": known["positives"].to_numpy(),
            "labelled": known["labelled"].to_numpy(),
            "text": [
                texts.OVERVIEW["share"].format(n=count(n), share=percent(share))
                for n, share in zip(known["positives"], shares, strict=True)
            ],
        }
    )

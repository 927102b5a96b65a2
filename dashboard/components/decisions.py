"""The controls of Defects: which run, beside which other, how it is looked at, and how it decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import contenders, texts
from dashboard.filters import Scope, choose, hold
from dashboard.options import Run, run_options

WORDS = texts.DEFECTS
NUMBERS = {WORDS["counts"]: "counts", WORDS["row"]: "row", WORDS["column"]: "column"}
VIEWS = (WORDS["matrices"], WORDS["precision_recall"], WORDS["calibration"], WORDS["cost"])
TRAINED, OWN = WORDS["trained"], WORDS["own"]
TIMES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""How many times dearer or cheaper errors can be made than ``dataset.toml`` says."""
PRICES = ("miss-price", "alarm-price")


@dataclass(frozen=True)
class Chosen:
    """What the page's own controls say.

    Attributes:
        run: the run shown.
        against: the run it is compared with, or None.
        fold: one fold, or None for all.
        numbers: ``counts``, ``row`` or ``column``.
        view: one of ``VIEWS``.
        threshold: the reader's own, or None as trained.
        prices: what a miss and a false alarm cost, times their prices in ``dataset.toml``.
    """

    run: Run
    against: Run | None
    fold: int | None
    numbers: str
    view: str
    threshold: float | None
    prices: tuple[float, float]

    def filters(self) -> tuple[tuple[str, str], ...]:
        """For the provenance of figures."""
        return (
            ("run", self.run.label),
            ("against", self.against.label if self.against else ""),
            ("fold", "all" if self.fold is None else str(self.fold + 1)),
            ("threshold", "as trained" if self.threshold is None else f"{self.threshold:.2f}"),
            *((name, times(n)) for name, n in zip(PRICES, self.prices, strict=True) if n != 1),
        )


def controls(scope: Scope, runs: pd.DataFrame) -> Chosen:
    """Draw them.

    Args:
        scope: what is looked at.
        runs: see ``results.scored_runs``; at least one.
    """
    options = run_options(runs)
    by_label = {run.label: run for run in options}
    left, middle, right = st.columns([4, 4, 2])
    with left:
        # Which one is best is asked only where nothing is chosen: it costs as much as drawing the controls.
        first = None if st.session_state.get("run") in by_label else _first(scope, runs, options)
        run = by_label[choose(WORDS["run"], list(by_label), "run", first)]
    with middle:
        others = [label for label in by_label if label != run.label]
        against = choose(WORDS["against"], [WORDS["nothing"], *others], "against")
    with right:
        folds = {WORDS["one_fold"].format(fold=i + 1): i for i in scope.store.folds(run.run_id)["fold"]}
        fold = choose(WORDS["fold"], [WORDS["every_fold"], *folds], "fold")
    view, numbers, threshold, prices = _how()
    return Chosen(run, by_label.get(against), folds.get(fold), numbers, view, threshold, prices)


def _first(scope: Scope, runs: pd.DataFrame, options: list[Run]) -> str:
    """The run shown before anything is chosen: the best one on the most labels."""
    metrics = scope.store.pooled_metrics(tuple(runs["run_id"]), contenders.ASKED)
    best = contenders.best_whole(runs, metrics)
    return next((run.label for run in options if best and run.run_id == best.run_id), options[0].label)


def times(n: float) -> str:
    """How many times a price."""
    return WORDS["price_times"].format(n=f"{n:g}")


def _how() -> tuple[str, str, float | None, tuple[float, float]]:
    """View, numbers, threshold and prices."""
    hold("decision", [TRAINED, OWN], TRAINED)
    row: dict[str, Any] = {"horizontal": True, "vertical_alignment": "bottom", "gap": "small"}
    bound: dict[str, Any] = {"bind": "query-params"}
    counts = WORDS["counts"]
    with st.container(**row):
        view = st.segmented_control(
            WORDS["view"], VIEWS, key="view", default=VIEWS[0], required=True, **bound
        )
        # The last in its row, so that nothing moves when it has nothing to say.
        numbers = counts
        if view == VIEWS[0]:
            numbers = st.segmented_control(
                WORDS["show"], list(NUMBERS), key="numbers", default=counts, required=True, **bound
            )
    with st.container(**row):
        decision = st.segmented_control(
            WORDS["decision"], (TRAINED, OWN), key="decision", help=texts.GLOSSARY["as trained"], **bound
        )
        threshold = st.slider(
            WORDS["threshold"], 0.0, 1.0, 0.5, 0.01, key="threshold", on_change=_own, width=220, **bound
        )
        prices = [
            st.select_slider(
                WORDS[label], TIMES, 1.0, times, key=key, help=WORDS["price_help"], width=width, **bound
            )
            for label, key, width in zip(("miss_price", "alarm_price"), PRICES, (120, 155), strict=True)
        ]
    own = float(threshold) if decision == OWN else None
    return view or VIEWS[0], NUMBERS[numbers or counts], own, (prices[0], prices[1])


def _own() -> None:
    """Whoever moves the slider wants to see it work."""
    st.session_state["decision"] = OWN

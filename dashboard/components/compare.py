"""Any set of runs beside each other: what differs in them, their numbers and their curves."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import texts
from dashboard.charts.overlay import MOST_RUNS
from dashboard.components import page
from dashboard.components.text import quiet
from dashboard.components.tiles import side_by_side, tiles
from dashboard.evidence import compare as evidence
from dashboard.filters import Scope, choose
from dashboard.format import count, listing, plain
from dashboard.frames.compare import metric_rows, setting_rows

WORDS = texts.COMPARE


def compare(scope: Scope, run_ids: list[str]) -> None:
    """Draw the comparison.

    Args:
        scope: what is looked at.
        run_ids: of the runs, in order.
    """
    runs = evidence.chosen(scope, run_ids)
    if len(runs) < 2:
        quiet(WORDS["too_few"])
        return
    ids = tuple(run["run_id"] for run in runs.values())
    metrics = scope.store.pooled_metrics(ids, evidence.QUOTED)
    settings = setting_rows({label: run["params"] for label, run in runs.items()})
    st.subheader(WORDS["title"], anchor=False)
    st.markdown(plain(evidence.said(runs, metrics, len(settings))))
    if len(run_ids) > MOST_RUNS:
        quiet(WORDS["only_first"].format(n=count(MOST_RUNS)))
    _incomparable(scope, ids)
    st.markdown(f"**{plain(WORDS['settings'])}**")
    if settings.empty:
        st.markdown(plain(WORDS["same_settings"]))
    else:
        st.dataframe(settings, alt=WORDS["settings"])
    _numbers(scope, runs, metrics)
    shown = evidence.curves(scope, runs)
    if shown:
        stamp = page.provenance(scope, ids, next(iter(runs.values()))["git_commit"])
        tiles(
            side_by_side("compared-curves", WORDS["curves"], WORDS["band"], shown, 2, 430),
            stamp,
            WORDS["band"],
        )


def _incomparable(scope: Scope, ids: tuple[str, ...]) -> None:
    """Why numbers of these runs must not be held against each other, where they must not."""
    reasons = {reason for other in ids[1:] for reason in scope.store.comparability(ids[0], other)}
    if reasons:
        named = listing(sorted(texts.INCOMPARABLE[reason] for reason in reasons))
        st.warning(plain(WORDS["incomparable"].format(reasons=named)), icon=":material/block:")


def _numbers(scope: Scope, runs: dict[str, dict[str, Any]], metrics: Any) -> None:
    there = [name for name in evidence.QUOTED if name in set(metrics["metric"])]
    if not there:
        quiet(WORDS["no_numbers"])
        return
    words = {texts.METRICS.get(name, name): name for name in there}
    st.markdown(f"**{plain(WORDS['numbers'])}**")
    with st.container(width=360):
        metric = words[choose(WORDS["metric"], list(words), "compared-metric")]
    labels = {run["run_id"]: label for label, run in runs.items()}
    table = metric_rows(metrics, labels, scope.defects, texts.RUNS["overall"], metric)
    st.dataframe(table, alt=WORDS["numbers"])

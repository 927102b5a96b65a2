"""Defects: what is found and missed, for each defect, and the fruit behind every number."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import answers, contenders, scores, texts
from dashboard.components import page, states
from dashboard.components.cells import class_charts, fruit_behind
from dashboard.components.decisions import Chosen, controls
from dashboard.components.multiples import panels
from dashboard.components.progress import running_now
from dashboard.components.text import quiet
from dashboard.evidence.overview import RESULTS
from dashboard.figure import Figure
from dashboard.filters import Scope
from dashboard.format import listing, money, plain
from dashboard.frames.agreement import Agreement, agreements, with_agreement
from dashboard.frames.costs import priced, same_prices
from dashboard.multiples import (
    Shown,
    calibration_figures,
    class_matrix,
    class_matrix_difference,
    cost_figures,
    differences,
    matrices,
    precision_figures,
)
from dashboard.options import Run, run_options
from dashboard.scores import ScoreTable

WORDS = texts.DEFECTS
NOTES = {WORDS[name]: WORDS[f"{name}_note"] for name in ("precision_recall", "calibration", "cost")}


def show(scope: Scope) -> None:
    """Draw the page."""
    page.heading(scope, WORDS["question"], by_pallet=True)
    runs = scope.keep(scope.store.scored_runs(scope.dataset.dataset_id, scope.study_id, RESULTS))
    if runs.empty:
        states.no_runs(scope)
        running_now(scope.store.path)
        return
    _body(scope, runs)


@st.fragment
def _body(scope: Scope, runs: pd.DataFrame) -> None:
    """Everything below the heading: a control here redraws this part alone."""
    top = st.container()
    chosen = controls(scope, runs)
    scope = scope.at_prices(*chosen.prices)
    against = chosen.against
    refused = scope.store.comparability(chosen.run.run_id, against.run_id) if against else []
    if refused:
        reasons = listing([texts.INCOMPARABLE[reason] for reason in refused])
        st.warning(plain(texts.NOT_COMPARABLE.format(reasons=reasons)), icon=":material/block:")
        against = None
    counts = _counts(scope, chosen.run, chosen)
    with top:
        _answer(scope, chosen, counts, _saved(scope, runs, chosen, against))
    if scope.multiclass and chosen.view == WORDS["matrices"]:
        _classes(scope, chosen, against)
    _multiples(scope, chosen, against, counts)
    fruit_behind(scope, chosen.run.run_id, chosen.run.finished, chosen.threshold, chosen.fold)
    page.caveats(_caveats(scope, chosen))


def _table(scope: Scope, run: Run) -> ScoreTable:
    return scope.scores(run.run_id, run.finished)


def _as_stored(scope: Scope, chosen: Chosen) -> bool:
    """Whether the store's own numbers over all fruit and folds, and their intervals, are of what is shown."""
    return chosen.threshold is None and chosen.fold is None and not scope.group


def _counts(scope: Scope, run: Run, chosen: Chosen) -> pd.DataFrame:
    """Confusion counts of the chosen defects: from SQL, or from the scores of a pallet or at a threshold."""
    if chosen.threshold is None and not scope.group:
        counts = scope.store.defect_confusion(run.run_id, chosen.fold)
    else:
        counts = scores.confusion(_table(scope, run), chosen.threshold, chosen.fold)
    known = counts.set_index("defect")
    return known.loc[[name for name in scope.defects if name in known.index]].reset_index()


def _class_counts(scope: Scope, run: Run, fold: int | None) -> pd.DataFrame:
    """How often each class was given each class: from SQL, or from the scores of a pallet."""
    if scope.group:
        return scores.class_confusion(_table(scope, run), fold)
    return scope.store.class_confusion(run.run_id, fold)


def _saved(scope: Scope, runs: pd.DataFrame, chosen: Chosen, against: Run | None) -> str:
    """What the run's errors cost less or more than those of the run beside it, else of the best baseline."""
    other = against or _reference(scope, runs, chosen.run)
    if other is None:
        return ""
    ours, theirs = (
        priced(scope.dataset, _counts(scope, run, chosen))["total"].sum() for run in (chosen.run, other)
    )
    key = "less" if ours < theirs else "more"
    who = other.subject if other.subject != chosen.run.subject else other.label
    return WORDS[key].format(n=money(abs(ours - theirs)), who=who)


def _reference(scope: Scope, runs: pd.DataFrame, run: Run) -> Run | None:
    """The best baseline on as many labels, where the run is a pretrained one that may be compared with it."""
    row = runs[runs["run_id"] == run.run_id].iloc[0]
    if row["kind"] == "baseline":
        return None
    alike = runs[runs["label_fraction"] == row["label_fraction"]]
    metrics = scope.store.pooled_metrics(tuple(alike["run_id"]), contenders.ASKED)
    best, _ = contenders.best_pair(alike, metrics)
    if best is None or scope.store.comparability(run.run_id, best.run_id):
        return None
    return next(option for option in run_options(runs) if option.run_id == best.run_id)


def _agreed(scope: Scope, run: Run, chosen: Chosen, counts: pd.DataFrame) -> dict[str | None, Agreement]:
    """How far the decisions agree with the labels; with intervals where all folds are shown as trained."""
    stored = scope.store.pooled_metrics((run.run_id,), ("mcc",)) if _as_stored(scope, chosen) else None
    return agreements(counts, stored)


def _answer(scope: Scope, chosen: Chosen, counts: pd.DataFrame, saved: str) -> None:
    trained, who, run_id = chosen.threshold is None, chosen.run.subject, chosen.run.run_id
    stored = _as_stored(scope, chosen)
    metrics = scope.store.pooled_metrics((run_id,), ("recall", "accuracy")) if stored else None
    if scope.multiclass and scope.one_defect is None and trained:
        said = answers.classified(who, _class_counts(scope, chosen.run, chosen.fold), metrics)
    else:
        said = answers.decided(who, counts, metrics, what=scope.family)
    if metrics is not None and not scope.multiclass and len(scope.defects) == len(scope.order) > 1:
        # The Overview's number, with its interval: the mean over defects, not the sum of their fruit.
        said = answers.average(who, metrics, counts, multiclass=False)
    said = with_agreement(said, who, _agreed(scope, chosen.run, chosen, counts), scope.defects)
    bill = priced(scope.dataset, counts)
    costs = WORDS["bill"].format(misses=money(bill["misses"].sum()), alarms=money(bill["alarms"].sum()))
    detail = " ".join(part for part in (said.detail, costs, saved) if part)
    said = answers.among(answers.Answer(said.text, detail), scope.group)
    page.answer(said, ("MCC", "found", "false alarm", "cost"))


def _multiples(scope: Scope, chosen: Chosen, against: Run | None, counts: pd.DataFrame) -> None:
    shown = Shown(scope.dataset, scope.defects, scope.tints, chosen.threshold, chosen.fold)
    groups = [(chosen.run.label, _figures(scope, shown, chosen, chosen.run, counts))]
    runs = [chosen.run]
    if against is not None:
        theirs = _counts(scope, against, chosen)
        groups.append((against.label, _figures(scope, shown, chosen, against, theirs)))
        runs.append(against)
        if chosen.view == WORDS["matrices"]:
            groups.append((WORDS["difference"], differences(shown, counts, theirs)))
    tables = [
        priced(scope.dataset, _counts(scope, run, chosen)).assign(
            run_id=run.run_id,
            fold="all" if chosen.fold is None else chosen.fold,
            threshold="as trained" if chosen.threshold is None else chosen.threshold,
        )
        for run in runs
    ]
    stamp = page.provenance(scope, tuple(run.run_id for run in runs), chosen.run.commit, *chosen.filters())
    panels(scope, chosen.view, NOTES.get(chosen.view, ""), groups, pd.concat(tables), stamp)


def _figures(
    scope: Scope, shown: Shown, chosen: Chosen, run: Run, counts: pd.DataFrame
) -> tuple[Figure, ...]:
    """The chosen view of one run, a figure a defect."""
    if chosen.view == WORDS["precision_recall"]:
        return precision_figures(shown, _table(scope, run), counts)
    if chosen.view == WORDS["calibration"]:
        return calibration_figures(shown, _table(scope, run))
    if chosen.view == WORDS["cost"]:
        return cost_figures(shown, _table(scope, run), counts)
    return matrices(shown, counts, chosen.numbers, _agreed(scope, run, chosen, counts))


def _classes(scope: Scope, chosen: Chosen, against: Run | None) -> None:
    """The full matrix of a multiclass run, beside another one where there is one."""
    shown = Shown(scope.dataset, scope.defects, scope.tints, None, chosen.fold)
    ours = _class_counts(scope, chosen.run, chosen.fold)
    figures = [class_matrix(shown, scope.order, ours, chosen.numbers)]
    if against is not None:
        theirs = _class_counts(scope, against, chosen.fold)
        figures.append(class_matrix_difference(shown, scope.order, ours, theirs))
    ids = (chosen.run.run_id, *([against.run_id] if against else []))
    stamp = page.provenance(scope, ids, chosen.run.commit, *chosen.filters())
    class_charts(scope, figures, stamp)
    if chosen.threshold is not None:
        quiet(WORDS["class_fixed"])


def _caveats(scope: Scope, chosen: Chosen) -> list[str]:
    found = {
        "synthetic": scope.dataset.synthetic,
        "costs": same_prices(scope.dataset),
        "seeds": chosen.run.seeds == 1,
        "hindsight": chosen.view == WORDS["cost"],
    }
    return [texts.CAVEATS[key] for key, applies in found.items() if applies]

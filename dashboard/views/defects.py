"""Defects: what is found and missed, for each defect, and the fruit behind every number."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import answers, contenders, scores, texts
from dashboard.components import page, states
from dashboard.components.cells import class_charts, fruit_behind
from dashboard.components.multiples import panels
from dashboard.components.progress import running_now
from dashboard.components.text import quiet
from dashboard.evidence.overview import RESULTS
from dashboard.figure import Figure
from dashboard.filters import Scope, choose, hold
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
NUMBERS = {WORDS["counts"]: "counts", WORDS["row"]: "row", WORDS["column"]: "column"}
VIEWS = (WORDS["matrices"], WORDS["precision_recall"], WORDS["calibration"], WORDS["cost"])
NOTES = {WORDS[name]: WORDS[f"{name}_note"] for name in ("precision_recall", "calibration", "cost")}
TRAINED, OWN = WORDS["trained"], WORDS["own"]


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
    """

    run: Run
    against: Run | None
    fold: int | None
    numbers: str
    view: str
    threshold: float | None

    def filters(self) -> tuple[tuple[str, str], ...]:
        """For the provenance of figures."""
        return (
            ("run", self.run.label),
            ("against", self.against.label if self.against else ""),
            ("fold", "all" if self.fold is None else str(self.fold + 1)),
            ("threshold", "as trained" if self.threshold is None else f"{self.threshold:.2f}"),
        )


def show(scope: Scope) -> None:
    """Draw the page."""
    page.heading(scope, WORDS["question"])
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
    chosen = _controls(scope, runs)
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


def _controls(scope: Scope, runs: pd.DataFrame) -> Chosen:
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
    view, numbers, threshold = _how()
    return Chosen(run, by_label.get(against), folds.get(fold), numbers, view, threshold)


def _first(scope: Scope, runs: pd.DataFrame, options: list[Run]) -> str:
    """The run shown before anything is chosen: the best one on the most labels."""
    metrics = scope.store.pooled_metrics(tuple(runs["run_id"]), ("mcc",))
    best = contenders.best_whole(runs, metrics, "mcc")
    return next((run.label for run in options if best and run.run_id == best.run_id), options[0].label)


def _how() -> tuple[str, str, float | None]:
    """View, numbers and threshold."""
    hold("decision", [TRAINED, OWN], TRAINED)
    row: dict[str, Any] = {"horizontal": True, "vertical_alignment": "bottom", "gap": "medium"}
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
            WORDS["threshold"], 0.0, 1.0, 0.5, 0.01, key="threshold", on_change=_own, width=420, **bound
        )
    own = decision == OWN
    return view or VIEWS[0], NUMBERS[numbers or counts], float(threshold) if own else None


def _own() -> None:
    """Whoever moves the slider wants to see it work."""
    st.session_state["decision"] = OWN


def _table(scope: Scope, run: Run) -> ScoreTable:
    return scope.store.scores(run.run_id, run.finished, scope.order)


def _counts(scope: Scope, run: Run, chosen: Chosen) -> pd.DataFrame:
    """Confusion counts of the chosen defects: from SQL as trained, from the scores at another threshold."""
    if chosen.threshold is None:
        counts = scope.store.defect_confusion(run.run_id, chosen.fold)
    else:
        counts = scores.confusion(_table(scope, run), chosen.threshold, chosen.fold)
    known = counts.set_index("defect")
    return known.loc[[name for name in scope.defects if name in known.index]].reset_index()


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
    metrics = scope.store.pooled_metrics(tuple(alike["run_id"]), ("mcc",))
    best, _ = contenders.best_pair(alike, metrics, "mcc")
    if best is None or scope.store.comparability(run.run_id, best.run_id):
        return None
    return next(option for option in run_options(runs) if option.run_id == best.run_id)


def _agreed(scope: Scope, run: Run, chosen: Chosen, counts: pd.DataFrame) -> dict[str | None, Agreement]:
    """How far the decisions agree with the labels; with intervals where all folds are shown as trained."""
    pooled = chosen.threshold is None and chosen.fold is None
    return agreements(counts, scope.store.pooled_metrics((run.run_id,), ("mcc",)) if pooled else None)


def _answer(scope: Scope, chosen: Chosen, counts: pd.DataFrame, saved: str) -> None:
    trained, who = chosen.threshold is None, chosen.run.subject
    pooled = trained and chosen.fold is None
    metrics = scope.store.pooled_metrics((chosen.run.run_id,), ("recall", "accuracy")) if pooled else None
    if scope.multiclass and scope.one_defect is None and trained:
        said = answers.classified(who, scope.store.class_confusion(chosen.run.run_id, chosen.fold), metrics)
    else:
        said = answers.decided(who, counts, metrics, what=scope.family)
    if metrics is not None and not scope.multiclass and len(scope.defects) == len(scope.order) > 1:
        # The Overview's number, with its interval: the mean over defects, not the sum of their fruit.
        fruit = int(counts[["tp", "fp", "fn", "tn"]].sum(axis=1).max()) if len(counts) else 0
        said = replace(said, text=answers.average(who, metrics, fruit, multiclass=False).text)
    said = with_agreement(said, who, _agreed(scope, chosen.run, chosen, counts), scope.defects)
    bill = priced(scope.dataset, counts)
    costs = WORDS["bill"].format(misses=money(bill["misses"].sum()), alarms=money(bill["alarms"].sum()))
    detail = " ".join(part for part in (said.detail, costs, saved) if part)
    page.answer(answers.Answer(said.text, detail), ("MCC", "found", "false alarm", "cost"))


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
    ours = scope.store.class_confusion(chosen.run.run_id, chosen.fold)
    figures = [class_matrix(shown, scope.order, ours, chosen.numbers)]
    if against is not None:
        theirs = scope.store.class_confusion(against.run_id, chosen.fold)
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

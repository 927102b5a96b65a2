"""What changed: which fruit one run puts right or wrong against another."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboard import contenders, texts
from dashboard.answers import UNCLEAR, UNTESTED, Answer, among
from dashboard.components import figures, page, states
from dashboard.components.fruit import gallery
from dashboard.components.progress import running_now
from dashboard.components.text import quiet
from dashboard.evidence import changes as evidence
from dashboard.evidence.overview import RESULTS
from dashboard.filters import Scope, choose
from dashboard.format import count, listing, plain
from dashboard.names import defect_words
from dashboard.options import Run, run_options
from dashboard.rows import of_defect

WORDS = texts.CHANGES
SIDES = {WORDS["fixed"]: True, WORDS["broken"]: False}


@dataclass(frozen=True)
class Pair:
    """The two runs that are compared."""

    before: Run
    after: Run

    def filters(self) -> tuple[tuple[str, str], ...]:
        """For the provenance of figures."""
        return (("before", self.before.label), ("after", self.after.label))


def show(scope: Scope) -> None:
    """Draw the page."""
    page.heading(scope, WORDS["question"], by_pallet=True)
    runs = scope.keep(scope.store.scored_runs(scope.dataset.dataset_id, scope.study_id, RESULTS))
    if len(runs) < 2:
        states.no_runs(scope)
        running_now(scope.store.path)
        return
    _body(scope, runs)


@st.fragment
def _body(scope: Scope, runs: pd.DataFrame) -> None:
    """Everything below the heading: a control here redraws this part alone."""
    top = st.container()
    pair = _pair(scope, runs)
    refused = scope.store.comparability(pair.before.run_id, pair.after.run_id)
    if refused:
        reasons = listing([texts.INCOMPARABLE[reason] for reason in refused])
        with top:
            page.answer(Answer(texts.NOT_COMPARABLE.format(reasons=reasons)), ())
        st.warning(plain(WORDS["choose_others"]), icon=":material/block:")
        return
    rows = evidence.tallied(scope, pair.before, pair.after)
    said = evidence.said(scope, pair.before, pair.after, rows)
    with top:
        page.answer(among(said, scope.group), ("false alarm", "missed", "MCC"))
    _evidence(scope, pair, rows, said)
    _fruit(scope, pair)
    page.caveats(_caveats(scope, pair, said))


def _pair(scope: Scope, runs: pd.DataFrame) -> Pair:
    """Two select boxes: the best baseline and the best pretraining unless something else is chosen."""
    by_label = {run.label: run for run in run_options(runs)}
    first, second = _defaults(scope, runs, list(by_label.values()))
    left, right = st.columns(2)
    with left:
        before = choose(WORDS["before"], list(by_label), "before", first)
    others = [label for label in by_label if label != before]
    with right:
        after = choose(WORDS["after"], others, "after", second)
    return Pair(by_label[before], by_label[after])


def _defaults(scope: Scope, runs: pd.DataFrame, options: list[Run]) -> tuple[str, str]:
    """Labels of the best baseline and the best pretraining; the other ends stand in for a missing one."""
    metrics = scope.store.pooled_metrics(tuple(runs["run_id"]), contenders.ASKED)
    reference, challenger = contenders.best_pair(runs, metrics)
    labels = {run.run_id: run.label for run in options}
    first = labels.get(reference.run_id if reference else "", options[0].label)
    second = labels.get(challenger.run_id if challenger else "", options[-1].label)
    return first, second


def _evidence(scope: Scope, pair: Pair, rows: pd.DataFrame, said: Answer) -> None:
    ids = (pair.before.run_id, pair.after.run_id)
    stamp = page.provenance(scope, ids, pair.after.commit, *pair.filters())
    by_group = evidence.by_group(scope, rows, said)
    left, right = st.columns([3, 2], gap="large") if by_group else (st.container(), None)
    with left:
        figures.figure(evidence.by_defect(scope, rows, said), stamp, "by-defect")
        quiet(WORDS["by_defect_note"])
    if right is not None and by_group is not None:
        with right:
            figures.figure(by_group, stamp, "by-group")
            quiet(WORDS["by_group_note"])


def _fruit(scope: Scope, pair: Pair) -> None:
    """The fruit themselves, with what both runs said of them."""
    st.subheader(WORDS["fruit_heading"], anchor=False)
    side = st.segmented_control(
        WORDS["show"],
        list(SIDES),
        key="change",
        default=WORDS["fixed"],
        required=True,
        bind="query-params",
    )
    fixed = SIDES[side or WORDS["fixed"]]
    moved = evidence.fruit_that_moved(scope, pair.before, pair.after, fixed=fixed)
    every = WORDS["any_class" if scope.multiclass else "any_defect"]
    what = every if scope.one_defect is None else defect_words(scope.one_defect)
    key = "fixed_count" if fixed else "broken_count"
    quiet(WORDS[key].format(n=count(len(moved)), defect=what))
    if moved.empty:
        return
    tables = [scope.store.scores(run.run_id, run.finished, scope.order) for run in (pair.before, pair.after)]
    place = {name: row for row, name in enumerate(tables[1].fruit_ids)}
    shown = [place[name] for name in moved["fruit_id"] if name in place]
    place_of = f"moved-{key}-{scope.group}-{scope.defect}"
    gallery(scope, tables[1], shown, place_of, None, before=tables[0], run_id=pair.after.run_id)


def _caveats(scope: Scope, pair: Pair, said: Answer) -> list[str]:
    metrics = scope.store.pooled_metrics((pair.before.run_id, pair.after.run_id), (contenders.HEADLINE,))
    values = of_defect(metrics, scope.one_defect)["value"].tolist()
    found = {
        "synthetic": scope.dataset.synthetic,
        "untested": said.verdict == UNTESTED,
        "pallets": bool(scope.pallets) and not scope.group,
    }
    caveats = [texts.CAVEATS[key] for key, applies in found.items() if applies]
    once = contenders.one_seed({run.label: run.seeds for run in (pair.before, pair.after)})
    caveats = [*contenders.guessing(values), *caveats, *once]
    unclear = said.verdict == UNCLEAR and not scope.group
    settled = evidence.settled_by(scope, pair.before, pair.after) if unclear else ""
    return [*caveats, settled] if settled else caveats

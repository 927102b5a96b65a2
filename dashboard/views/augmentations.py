"""Augmentations: which random changes of the pictures help, and what they look like on these fruit."""

from __future__ import annotations

import shlex

import streamlit as st

from backend.store.queries import ablations as queries
from dashboard import texts
from dashboard.answers import UNTESTED
from dashboard.charts.grid import difference_grid
from dashboard.components import figures, page, states
from dashboard.components.progress import nothing_yet
from dashboard.components.text import quiet
from dashboard.evidence import augmentations as evidence
from dashboard.evidence.augmentations import Confirmed, Found
from dashboard.filters import Scope, choose
from dashboard.format import plain
from dashboard.frames.augmentations import default_policy, plan_lines
from dashboard.names import method_words
from dashboard.pictures import photograph

WORDS = texts.AUGMENTATIONS


def show(scope: Scope) -> None:
    """Draw the page."""
    page.heading(scope, WORDS["question"])
    found = evidence.found(scope)
    if not found:
        nothing_yet(scope, WORDS)
        return
    _body(scope, found)


@st.fragment
def _body(scope: Scope, found: list[Found]) -> None:
    """Everything below the heading: a control here redraws this part alone."""
    top = st.container()
    ablation, metric = _controls(found)
    tested = evidence.confirmed(scope, ablation)
    said = evidence.said(ablation, tested, metric)
    with top:
        page.answer(said, ("found", "MCC") if tested else ("MCC",))
    commit = ablation.runs["git_commit"].iloc[0]
    more = (
        ("ablation of", method_words(ablation.method)),
        ("measure", evidence.measure_words(ablation, metric)),
    )
    stamp = page.provenance(scope, tuple(ablation.runs["run_id"]), commit, *more)
    matrix = evidence.matrix(ablation, metric, said)
    if matrix is not None:
        figures.figure(matrix, stamp, "composition")
        quiet(WORDS["matrix_note"] if matrix.chart is difference_grid else WORDS["alone_note"])
    with st.grid(2, min_column_width=320, gap="large"):
        draw = (evidence.worth, evidence.strength, evidence.whole)
        for shown in [one(ablation, metric) for one in draw]:
            if shown is not None:
                with st.container(gap="xxsmall"):
                    figures.figure(shown, stamp, shown.name)
                    quiet(shown.sentence)
    _confirmed(tested)
    best = evidence.winner(ablation, tested, metric)
    if best is not None:
        quiet(WORDS["use"].format(policy=best.words))
        st.code(plan_lines(best), language="toml")
    _samples(scope, ablation)
    found_caveats = {
        "synthetic": scope.dataset.synthetic,
        "proxy": True,
        "untested": said.verdict == UNTESTED,
    }
    applying = [texts.CAVEATS[key] for key, applies in found_caveats.items() if applies]
    page.caveats([*ablation.guessing, *applying])


def _controls(found: list[Found]) -> tuple[Found, str]:
    """Method, where several were ablated, and measure."""
    right = st.container()
    ablation = found[0]
    if len(found) > 1:
        left, right = st.columns([2, 3])
        by_words = {method_words(one.method): one for one in found}
        with left:
            ablation = by_words[choose(WORDS["method"], list(by_words), "ablated")]
    measures = {evidence.measure_words(ablation, metric): metric for metric in ablation.measures}
    with right:
        chosen = st.segmented_control(
            texts.OVERVIEW["measure"],
            list(measures),
            key="proxy",
            default=next(iter(measures)),
            required=True,
            bind="query-params",
            help=WORDS["measure_help"],
        )
    return ablation, measures.get(str(chosen), ablation.measures[0])


def _confirmed(tested: list[Confirmed]) -> None:
    """The policies that were tested on held-out fruit."""
    st.subheader(WORDS["confirmed"], anchor=False)
    if not tested:
        quiet(WORDS["none_confirmed"])
    for one in tested:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            page.verdict(one.verdict)
            st.markdown(plain(one.text), width="stretch")


def _samples(scope: Scope, ablation: Found) -> None:
    """The policy and every augmentation alone on these fruit; where no picture was kept, its command."""
    st.subheader(WORDS["samples"], anchor=False)
    default = default_policy(ablation.scores(ablation.measures[0]))
    policy = f" --policy {shlex.quote(default.policy)}" if default is not None else ""
    for kind, option in (("contact_sheet", policy), ("operation_sheet", " --every")):
        arguments = (scope.dataset.dataset_id, scope.study_id, evidence.PURPOSE, kind)
        kept = scope.store.ask(queries.kept_file, *arguments)
        picture = None if kept is None else photograph(str(scope.store.path.parent), str(kept["path"]))
        quiet(WORDS[kind])
        if picture is not None:
            st.image(picture, alt=WORDS["samples_alt"].format(what=WORDS[kind]), width="stretch")
            continue
        quiet(WORDS["no_samples"])
        states.command(f"{texts.COMMANDS['augment']} {shlex.quote(scope.dataset.root)} {kind}.png{option}")

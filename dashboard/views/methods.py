"""Methods: pretraining methods under the field's protocols, labels saved, and health of the training."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import texts
from dashboard.answers import Answer
from dashboard.components import figures, page
from dashboard.components.progress import nothing_yet
from dashboard.components.text import quiet
from dashboard.components.tiles import side_by_side, tiles
from dashboard.evidence import methods as evidence
from dashboard.evidence.methods import Compared
from dashboard.export import Provenance
from dashboard.filters import Scope
from dashboard.format import percent, plain
from dashboard.frames.method_tests import marks_words
from dashboard.frames.methods import PROTOCOLS
from dashboard.names import method_words

WORDS = texts.PROTOCOLS
CURVES = {WORDS["fine_tuned"]: "tuned", WORDS["linear_readout"]: "readout"}


def show(scope: Scope) -> None:
    """Draw the page."""
    page.heading(scope, WORDS["question"], over_all=True)
    found = evidence.compared(scope)
    if found.rows.empty:
        nothing_yet(scope, WORDS)
        return
    _body(scope, found)


@st.fragment
def _body(scope: Scope, found: Compared) -> None:
    """Everything below the heading: a control here redraws this part alone."""
    said = evidence.said(scope, found)
    page.answer(said, ("pretraining", "baseline", "labels", "MCC"))
    commit = found.runs["git_commit"].iloc[0]
    stamp = page.provenance(scope, tuple(found.runs["run_id"]), commit)
    _efficiency(scope, found, said, stamp)
    _table(scope, found, said, stamp)
    _by_defect(scope, found, stamp)
    _health(scope, found, stamp)
    page.caveats(_caveats(scope, found))


def _efficiency(scope: Scope, found: Compared, said: Answer, stamp: Provenance) -> None:
    """Learning curves over labels."""
    if found.focus is None or len(found.fractions) < 2:
        return
    chosen = st.segmented_control(
        WORDS["curve"],
        list(CURVES),
        key="curve",
        default=WORDS["fine_tuned"],
        required=True,
        bind="query-params",
    )
    figure = evidence.efficiency(scope, found, CURVES[chosen or WORDS["fine_tuned"]], said)
    if figure is not None:
        figures.figure(figure, stamp, "label-efficiency")
        quiet(WORDS["efficiency_note"])


def _table(scope: Scope, found: Compared, said: Answer, stamp: Provenance) -> None:
    """Methods against protocols at one share of the labels, and every number behind it."""
    shares = {percent(fraction): fraction for fraction in found.fractions}
    first = percent(found.telling)
    chosen = st.segmented_control(
        WORDS["labels"], list(shares), key="labels", default=first, required=True, bind="query-params"
    )
    fraction = shares.get(chosen or first, found.telling)
    figures.figure(evidence.table_figure(scope, found, fraction, said), stamp, "methods")
    quiet(" ".join((WORDS["table_note"], marks_words(found.tests, fraction))).strip())
    with st.expander(WORDS["every_number"]):
        st.dataframe(_numbers(found.rows), hide_index=True, alt=WORDS["every_number"])


def _numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """All methods, protocols and shares as a table."""
    place = {name: i for i, name in enumerate(PROTOCOLS)}
    rows = rows.assign(place=rows["protocol"].map(place)).sort_values(["place", "fraction", "method"])
    return pd.DataFrame(
        {
            WORDS["protocol"]: rows["protocol"].map(lambda name: WORDS[f"{name}_words"]),
            WORDS["method"]: rows["method"].map(method_words),
            WORDS["labels"]: rows["fraction"].map(percent),
            WORDS["value"]: rows["value"].round(3),
            WORDS["low"]: pd.to_numeric(rows["low"]).round(3),
            WORDS["high"]: pd.to_numeric(rows["high"]).round(3),
            WORDS["seeds"]: rows["seeds"],
        }
    )


def _by_defect(scope: Scope, found: Compared, stamp: Provenance) -> None:
    shown = evidence.efficiency_by_defect(scope, found)
    if shown:
        title = WORDS["by_class" if scope.multiclass else "by_defect"]
        tiles(side_by_side("label-efficiency-by-defect", title, WORDS["by_defect_note"], shown), stamp)


def _health(scope: Scope, found: Compared, stamp: Provenance) -> None:
    """Whether the trainings learned anything, and those that were stopped; the curves only once asked for."""
    st.subheader(WORDS["health"], anchor=False)
    health = evidence.health(scope)
    quiet(health.sentence or WORDS["no_health"])
    for row in health.stopped.to_dict("records"):
        reason = (
            row["error"] if isinstance(row["error"], str) and row["error"] else texts.OVERVIEW["no_reason"]
        )
        text = WORDS["stopped_run"].format(name=row["name"], seed=row["seed"], reason=reason.splitlines()[0])
        st.markdown(f"- {plain(text)}")
    if health.curves.empty:
        return
    with st.expander(WORDS["health_open"], key="health", on_change="rerun") as opened:
        shown = evidence.health_figures(health, found.focus) if opened.open else ()
        if shown:
            title, note = WORDS["health_title"], WORDS["health_note"]
            tiles(side_by_side("pretraining-health", title, note, shown, columns=2, width=400), stamp, note)


def _caveats(scope: Scope, found: Compared) -> list[str]:
    applies = {
        "synthetic": scope.dataset.synthetic,
        "seeds": bool((found.rows["seeds"] == 1).all()),
        "interpolated": len(found.fractions) > 1,
        "transductive": bool((found.runs["transductive"] == 1).any()),
    }
    return [*evidence.guessing(found), *(texts.CAVEATS[key] for key, yes in applies.items() if yes)]

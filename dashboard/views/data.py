"""Data: what the fruit are, and which labels and pictures deserve a second look."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import loaders_findings as load
from dashboard import texts
from dashboard.components import figures, page, states
from dashboard.components.fruit import gallery
from dashboard.components.text import quiet
from dashboard.evidence import data as evidence
from dashboard.export import Provenance
from dashboard.figure import Figure
from dashboard.filters import Scope, hold
from dashboard.format import count, plain
from dashboard.frames import findings as frames
from dashboard.frames.findings import Finding
from dashboard.frames.fruit import score_table

WORDS = texts.DATA
MOST_WARNINGS = 5


def show(scope: Scope) -> None:
    """Draw the page."""
    page.heading(scope, WORDS["question"])
    findings = evidence.found(scope)
    page.answer(evidence.said(scope, findings), ("label error", "duplicate"))
    stamp = page.provenance(scope, _runs(findings))
    _beside(evidence.balance_figure(scope), evidence.groups_figure(scope), stamp, ("balance", "groups"))
    _figure(evidence.pairs_figure(scope), stamp, "pairs")
    _suspects(scope, findings)
    missing, drift = evidence.missing_figure(scope), evidence.drift_figure(findings)
    _beside(missing, drift, stamp, ("missing", "drift"))
    table = frames.sensor_table(findings)
    if len(table):
        st.markdown(f"**{plain(WORDS['sensors'])}**")
        st.dataframe(table, hide_index=True, alt=WORDS["sensors"])
    page.caveats(_caveats(scope, findings))


def _runs(findings: pd.DataFrame) -> tuple[str, ...]:
    return tuple(str(run) for run in findings["run_id"].dropna().unique())


def _beside(left: Figure | None, right: Figure | None, stamp: Provenance, keys: tuple[str, str]) -> None:
    """Two figures side by side; one alone has all the room."""
    drawn = [(figure, key) for figure, key in zip((left, right), keys, strict=True) if figure is not None]
    for place, (figure, key) in zip(st.columns(max(1, len(drawn)), gap="large"), drawn, strict=False):
        with place:
            _figure(figure, stamp, key)


def _figure(figure: Figure | None, stamp: Provenance, key: str) -> None:
    """A figure with its sentence, where there is one."""
    if figure is None:
        return
    figures.head(figure, stamp, key)
    quiet(figure.sentence)
    figures.chart(figure, key)


@st.fragment
def _suspects(scope: Scope, findings: pd.DataFrame) -> None:
    """The fruit in question, a kind of finding at a time."""
    st.subheader(WORDS["suspects"], anchor=False)
    n = evidence.counts(scope, findings)
    if not n:
        _nothing(scope, findings)
        return
    labels = {WORDS["tab"].format(kind=WORDS[kind], n=count(k)): kind for kind, k in n.items()}
    hold("finding", list(labels), next(iter(labels)))
    chosen = st.segmented_control(
        WORDS["kind"], list(labels), key="finding", required=True, bind="query-params"
    )
    kind = labels.get(chosen or "", next(iter(n)))
    quiet(WORDS[f"{kind}_note"])
    rows = frames.of_kind(findings, kind, scope.defects, scope.order)
    _cards(scope, frames.listed(rows), kind)


def _nothing(scope: Scope, findings: pd.DataFrame) -> None:
    """No finding: either the report has not been made, or it found nothing for these defects."""
    if len(findings):
        st.markdown(plain(WORDS["no_finding"]))
        return
    states.missing_stage(scope, WORDS["none_text"])


def _cards(scope: Scope, found: list[Finding], kind: str) -> None:
    """Cards of the fruit, the two of a pair side by side."""
    notes: dict[str, list[str]] = {}
    names: list[str] = []
    for finding in found:
        for name in finding.fruit_ids:
            if len(finding.fruit_ids) > 1 or name not in notes:
                names.append(name)
            notes.setdefault(name, []).append(finding.note)
    facts = load.fruit_table(scope.store, scope.dataset.dataset_id)
    table = score_table(names, facts, scope.order)
    said = {name: " ".join(dict.fromkeys(several)) for name, several in notes.items()}
    gallery(scope, table, list(range(len(names))), f"finding-{kind}", None, notes=said)


def _caveats(scope: Scope, findings: pd.DataFrame) -> list[str]:
    found = {"synthetic": scope.dataset.synthetic, "suspicion": len(findings) > 0}
    listed = [texts.CAVEATS[key] for key, applies in found.items() if applies]
    # What is missing stands in its own figure.
    told = [text.removeprefix("warning: ") for text in scope.dataset.warnings if ": missing for" not in text]
    more = [WORDS["more_warnings"].format(n=count(len(told) - MOST_WARNINGS))] if told[MOST_WARNINGS:] else []
    return [*listed, *told[:MOST_WARNINGS], *more]

"""Grad-CAM: where the model looks, fruit by fruit, and whether that can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import loaders_findings as load
from dashboard import texts
from dashboard.components import figures, page
from dashboard.components.heat import Side, heat_gallery
from dashboard.components.progress import nothing_yet
from dashboard.components.text import quiet
from dashboard.evidence import explanations as evidence
from dashboard.filters import Scope, choose, hold
from dashboard.format import plain, sensors
from dashboard.frames import explanations as frames
from dashboard.options import Run, favourite, run_options
from dashboard.scope import labelled

WORDS = texts.GRADCAM


@dataclass(frozen=True)
class Shown:
    """What the page's own controls say.

    Attributes:
        run: whose maps are shown.
        against: another run beside it, or None.
        modalities: sensors to show.
        opacity: of the maps, 0 to 1.
        outcomes: empty = all.
        scores: from and to.
    """

    run: Run
    against: Run | None
    modalities: tuple[str, ...]
    opacity: float
    outcomes: tuple[str, ...]
    scores: tuple[float, float]


def show(scope: Scope) -> None:
    """Draw the page."""
    page.heading(scope, WORDS["question"], unfollowed="pictures_of_group")
    runs = evidence.explained(scope)
    if runs.empty:
        nothing_yet(scope, WORDS)
        return
    _body(scope, runs)


@st.fragment
def _body(scope: Scope, runs: pd.DataFrame) -> None:
    """Everything below the heading: a control here redraws this part alone."""
    top = st.container()
    run, against = _runs(runs)
    maps = load.attributions(scope.store, run.run_id)
    ids = (run.run_id,) if against is None else (run.run_id, against.run_id)
    metrics = evidence.measured(scope, ids)
    said = evidence.said(scope, run, metrics, maps)
    with top:
        page.answer(said, ("Grad-CAM", "heat map"))
    figure = evidence.figure(scope, run, against, metrics, said, evidence.checked(scope, run, maps))
    if figure is not None:
        chosen = (("run", run.label), ("against", against.label if against else ""))
        figures.figure(figure, page.provenance(scope, ids, run.commit, *chosen), "pointing")
    st.subheader(WORDS["gallery"], anchor=False)
    _gallery(scope, _controls(scope, run, against, maps), maps)
    page.caveats(_caveats(scope, figure is not None))


def _runs(runs: pd.DataFrame) -> tuple[Run, Run | None]:
    options = run_options(runs)
    by_label = {run.label: run for run in options}
    left, right = st.columns(2)
    with left:
        first = favourite(options, runs)
        run = by_label[choose(texts.DEFECTS["run"], list(by_label), "explained", first.label)]
    with right:
        nothing = texts.DEFECTS["nothing"]
        others = [label for label in by_label if label != run.label]
        against = choose(texts.DEFECTS["against"], [nothing, *others], "explained-against")
    return run, by_label.get(against)


def _controls(scope: Scope, run: Run, against: Run | None, maps: pd.DataFrame) -> Shown:
    """Sensors and opacity, then what the gallery holds."""
    own = [name for name in scope.dataset.modalities if name in set(maps["modality"])]
    names = dict(zip(labelled([sensors([name]) for name in own], own), own, strict=True))
    bound: dict[str, Any] = {"bind": "query-params"}
    by_outcome = {words: name for name, words in texts.OUTCOMES.items()}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        every = WORDS["every_sensor"]
        hold("heat-sensors", [every, *names], every)
        sensor = st.segmented_control(WORDS["sensors"], [every, *names], key="heat-sensors", **bound)
        outcomes = st.pills(
            WORDS["outcome"], list(by_outcome), selection_mode="multi", key="heat-outcome", **bound
        )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        opacity = st.slider(WORDS["opacity"], 0.0, 1.0, 0.7, 0.1, key="heat-opacity", width=260, **bound)
        scores = st.slider(WORDS["score"], 0.0, 1.0, (0.0, 1.0), 0.05, key="heat-score", width=300, **bound)
    return Shown(
        run,
        against,
        (names[sensor],) if sensor in names else tuple(own),
        float(opacity),
        tuple(by_outcome[words] for words in outcomes if words in by_outcome),
        (float(scores[0]), float(scores[1])),
    )


def _gallery(scope: Scope, shown: Shown, maps: pd.DataFrame) -> None:
    """The fruit, those with defects that no picture shows last."""
    ours = frames.cases(maps)
    hidden = evidence.unseen(scope)
    sides = [Side(shown.run.label, ours)]
    if shown.against is not None:
        theirs = frames.cases(load.attributions(scope.store, shown.against.run_id))
        sides.append(Side(shown.against.label, theirs))
    order = (*(name for name in scope.defects if name not in hidden), *hidden)
    listed = frames.chosen(ours, order, shown.outcomes, scope.group, shown.scores)
    if not listed:
        st.markdown(plain(WORDS["no_case"]))
        return
    quiet(evidence.counted(len(listed)))
    heat_gallery(scope, listed, sides, shown.modalities, shown.opacity)


def _caveats(scope: Scope, masked: bool) -> list[str]:
    found = {"synthetic": scope.dataset.synthetic, "by_eye": not masked, "heat": True}
    return [texts.CAVEATS[key] for key, applies in found.items() if applies]

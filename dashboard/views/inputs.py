"""Sensors: which sensor matters for which defect, and whether one could be dropped."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import texts
from dashboard.answers import BETTER, UNTESTED, WORSE, Answer
from dashboard.components import figures, page
from dashboard.components.progress import nothing_yet
from dashboard.components.text import quiet
from dashboard.components.tiles import side_by_side, tiles
from dashboard.evidence import failures, losses, prices
from dashboard.evidence import inputs as evidence
from dashboard.evidence.losses import Loss
from dashboard.export import Provenance
from dashboard.filters import Scope, choose
from dashboard.format import number, plain, sentence_start
from dashboard.frames.costs import same_prices
from dashboard.frames.inputs import Ablation, sensor_words
from dashboard.scope import labelled

WORDS = texts.INPUTS
MEASURES = {WORDS["agreement"]: "mcc", WORDS["found"]: "recall"}
BADGES = {BETTER: ("needed", "red"), WORSE: ("harmful", "blue"), UNTESTED: ("not_tested", "gray")}


def show(scope: Scope) -> None:
    """Draw the page."""
    page.heading(scope, WORDS["question"], over_all=True)
    found = evidence.found(scope)
    if not found and len(scope.dataset.modalities) + bool(scope.dataset.pressures) < 2:
        page.answer(Answer(WORDS["one_sensor"]), ())
        if (alone := evidence.only_sensor(scope)) is not None:
            _failures(scope, alone, page.provenance(scope, alone.every_run, alone.commit))
        return
    if not found:
        nothing_yet(scope, WORDS)
        return
    _body(scope, found)


@st.fragment
def _body(scope: Scope, found: list[Ablation]) -> None:
    """Everything below the heading: a control here redraws this part alone."""
    top = st.container()
    ablation, metric = _controls(found)
    costs = prices.costs(scope, ablation)
    lost = losses.losses(scope, ablation, costs)
    said = losses.said(scope, lost)
    with top:
        page.answer(said, ("MCC", "found", "interval"))
    stamp = page.provenance(scope, ablation.every_run, ablation.commit, ("model", ablation.name))
    figures.figure(evidence.heat_map(scope, ablation, metric, said), stamp, "sensors")
    quiet(WORDS["heat_map_note"])
    guessed = losses.guessed(scope, ablation)
    if guessed:
        st.markdown(plain(guessed))
    _verdicts(lost)
    _shapley(scope, ablation, stamp)
    _calculator(ablation, lost, costs, stamp)
    _failures(scope, ablation, stamp)
    page.caveats(_caveats(scope, ablation, lost))


def _controls(found: list[Ablation]) -> tuple[Ablation, str]:
    """Model and measure; the model only where several were ablated."""
    labels = labelled([one.name for one in found], [" + ".join(one.sensors) for one in found])
    ablation = found[0]
    right = st.container()
    if len(found) > 1:
        left, right = st.columns([2, 3])
        with left:
            ablation = found[labels.index(choose(WORDS["model"], labels, "model"))]
    with right:
        measure = st.segmented_control(
            texts.OVERVIEW["measure"],
            list(MEASURES),
            key="sensors-measure",
            default=WORDS["agreement"],
            required=True,
            bind="query-params",
        )
    return ablation, MEASURES[measure or WORDS["agreement"]]


def _verdicts(lost: list[Loss]) -> None:
    """A line a sensor."""
    st.subheader(WORDS["verdicts"], anchor=False)
    for loss in lost:
        key, colour = BADGES.get(loss.verdict, ("no_clear_loss", "gray"))
        key, colour = ("costly", "orange") if loss.costly else (key, colour)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{plain(sentence_start(sensor_words(loss.sensor)))}**", width="content")
            st.badge(WORDS[key], color=colour, help=WORDS[f"{key}_help"])  # type: ignore[arg-type]
        st.markdown(plain(f"{loss.text} {losses.cost_words(loss)}".strip()))


def _shapley(scope: Scope, ablation: Ablation, stamp: Provenance) -> None:
    shown = evidence.shapley(scope, ablation)
    if not shown:
        return
    together = side_by_side("sensors-shapley", WORDS["shapley"], WORDS["shapley_note"], shown)
    tiles(together, stamp, WORDS["shapley_note"])


def _calculator(ablation: Ablation, lost: list[Loss], table: pd.DataFrame, stamp: Provenance) -> None:
    """What dropping a sensor costs or saves in money."""
    st.subheader(WORDS["calculator"], anchor=False)
    if table.empty:
        quiet(WORDS["no_costs"])
        return
    # What could be dropped most easily comes first.
    order = [loss.sensor for loss in reversed(lost) if ablation.without(loss.sensor)]
    names = {sentence_start(sensor_words(name)): name for name in order}
    if names:
        st.markdown(f"**{plain(_budget(ablation, table, names))}**")
    figures.figure(prices.cost_figure(ablation, table, WORDS["cost_note"]), stamp, "sensors-cost")
    quiet(WORDS["cost_note"])


def _budget(ablation: Ablation, table: Any, names: dict[str, str]) -> str:
    left, middle, right = st.columns(3)
    bound: dict[str, Any] = {"bind": "query-params"}
    with left:
        dropped = choose(WORDS["sensor"], list(names), "drop")
    with middle:
        fruit = st.number_input(
            WORDS["fruit_a_year"], 0, 1_000_000_000, 1_000_000, 100_000, key="fruit-a-year", **bound
        )
    with right:
        price = st.number_input(
            WORDS["price_a_year"],
            0,
            1_000_000_000,
            0,
            1_000,
            key="sensor-price",
            help=WORDS["price_help"],
            **bound,
        )
    text = prices.budget(table, ablation, names[dropped], int(fruit or 0), float(price or 0))
    return text or WORDS["no_costs"]


def _failures(scope: Scope, ablation: Ablation, stamp: Provenance) -> None:
    """What the trained model still says when a sensor or a camera fails, without training it again."""
    figure = failures.figure(scope, ablation)
    if figure is None:
        return
    st.subheader(WORDS["failures"], anchor=False)
    st.markdown(f"**{plain(figure.sentence)}**")
    for sentence in failures.telling_views(scope, ablation):
        st.markdown(plain(sentence))
    figures.figure(figure, stamp, "sensors-fail")
    quiet(WORDS["failures_note"])
    if len(ablation.sensors) == 1:
        return
    table = failures.reliance(scope, ablation)
    with st.expander(WORDS["reliance"]):
        quiet(WORDS["reliance_note"])
        numbers = [name for name in table.columns if name != "sensor_column"]
        shown = table.assign(**{name: table[name].map(number) for name in numbers})
        shown.columns = [WORDS[name] for name in shown.columns]
        st.dataframe(shown, hide_index=True, alt=WORDS["reliance"])


def _caveats(scope: Scope, ablation: Ablation, lost: list[Loss]) -> list[str]:
    found = {
        "synthetic": scope.dataset.synthetic,
        "untested": any(loss.verdict == UNTESTED for loss in lost),
        "no_proof": any(loss.verdict not in (BETTER, UNTESTED) for loss in lost),
        "seeds": all(len(runs) == 1 for runs in ablation.runs.values()),
        "costs": same_prices(scope.dataset),
    }
    caveats = [texts.CAVEATS[key] for key, applies in found.items() if applies]
    own = evidence.own_training(scope, ablation)
    return [own, *caveats] if own else caveats

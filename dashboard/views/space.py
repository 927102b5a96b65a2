"""Feature space: which fruit look alike to the model, and the fruit behind any part of the picture."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboard import loaders_findings as load
from dashboard import texts
from dashboard.answers import Answer, among
from dashboard.charts.space import BOX
from dashboard.components import figures, page
from dashboard.components.fruit import gallery
from dashboard.components.progress import nothing_yet
from dashboard.components.text import quiet
from dashboard.evidence import space as evidence
from dashboard.filters import Scope, choose
from dashboard.format import count, number, plain
from dashboard.frames.fruit import score_table
from dashboard.frames.space import Coloured, by_decision, by_defect, by_group, inside_box, point_rows
from dashboard.loaders_findings import PRESSURE
from dashboard.names import defect_words
from dashboard.options import Run, favourite, run_options

WORDS = texts.SPACE
CHART = "feature-space"
SEARCHED = "fruit"
"""Key of the fruit that is searched for, in the session and in the URL."""
FIRST = ("tsne", "umap", "pca")


@dataclass(frozen=True)
class View:
    """What the page's own controls say, and what follows from it.

    Attributes:
        run: whose features.
        projection: its name.
        colour: label of what the colours say.
        searched: a fruit id, or empty.
        points: see ``space.points``.
        facts: of the same fruit in the same order, see ``loaders_findings.fruit_table``.
    """

    run: Run
    projection: str
    colour: str
    searched: str
    points: pd.DataFrame
    facts: pd.DataFrame

    def filters(self) -> tuple[tuple[str, str], ...]:
        """For the provenance of figures."""
        return (("run", self.run.label), ("projection", self.projection), ("colour", self.colour))


def show(scope: Scope) -> None:
    """Draw the page."""
    page.heading(scope, WORDS["question"], by_pallet=True)
    runs = evidence.projected(scope)
    if runs.empty:
        nothing_yet(scope, WORDS)
        return
    _body(scope, runs)


@st.fragment
def _body(scope: Scope, runs: pd.DataFrame) -> None:
    """Everything below the heading: a control here redraws this part alone."""
    top = st.container()
    view = _controls(scope, runs)
    found = evidence.alike(scope, view.run)
    said = evidence.said(scope, view.run, found, len(view.points))
    with top:
        page.answer(among(said, scope.group), ("feature space", "t-SNE"))
    _map(scope, view, said)
    _fruit(scope, view)
    stamp = page.provenance(scope, (view.run.run_id,), view.run.commit, *view.filters())
    if len(found):
        figures.figure(evidence.neighbour_figure(scope, found, said), stamp, "neighbours")
    page.caveats(_caveats(scope, view))


def _controls(scope: Scope, runs: pd.DataFrame) -> View:
    options = run_options(runs)
    by_label = {run.label: run for run in options}
    first = favourite(options, runs).label
    left, middle, right, last = st.columns([4, 3, 3, 3])
    with left:
        run = by_label[choose(texts.DEFECTS["run"], list(by_label), "projected", first)]
    names = load.projections(scope.store, run.run_id)
    names.sort(key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    words = {evidence.projection_words(name): name for name in names}
    with middle:
        projection = words[choose(WORDS["projection"], list(words), "projection")]
    with right:
        colour = choose(WORDS["colour"], _colours(scope), "colour")
    with last, st.container(gap="xxsmall"):
        quiet(WORDS["search"])
        searched = st.text_input(
            WORDS["search"],
            key=SEARCHED,
            placeholder=WORDS["search_hint"],
            label_visibility="collapsed",
            bind="query-params",
        )
    points = load.points(scope.store, run.run_id, projection)
    if scope.group:
        points = points[points["fruit_id"].isin(scope.fruit)].reset_index(drop=True)
    facts = load.fruit_table(scope.store, scope.dataset.dataset_id).reindex(points["fruit_id"])
    return View(run, projection, colour, (searched or "").strip(), points, facts)


def _colours(scope: Scope) -> list[str]:
    kinds = [WORDS["by_class" if scope.multiclass else "by_defect"], WORDS["by_decision"]]
    if scope.pallets:
        kinds.append(WORDS["by_group"])
    return [*kinds, *(defect_words(name) for name in scope.dataset.pressures)]


def _coloured(scope: Scope, view: View) -> Coloured:
    if view.colour == WORDS["by_decision"]:
        judged = scope.store.scores(view.run.run_id, view.run.finished, scope.order)
        table = score_table(list(view.points["fruit_id"]), view.facts, scope.order, judged)
        return by_decision(table, scope.defects)
    if view.colour == WORDS["by_group"]:
        return by_group(view.facts["fruit_group"].fillna(""))
    for name in scope.dataset.pressures:
        if view.colour == defect_words(name):
            return Coloured(view.facts[f"{PRESSURE}{name}"].reset_index(drop=True))
    return by_defect(view.facts, scope.defects, scope.tints, scope.dataset.healthy)


def _map(scope: Scope, view: View, said: Answer) -> None:
    """The picture; dragging a box over it chooses fruit."""
    coloured = _coloured(scope, view)
    rows = point_rows(view.points, coloured, view.facts["fruit_group"].fillna(""), _marked(scope, view))
    figure = evidence.scatter(view.projection, coloured, rows, view.colour, said)
    stamp = page.provenance(scope, (view.run.run_id,), view.run.commit, *view.filters())
    figures.head(figure, stamp, CHART)
    quiet(WORDS["hint"])

    def selected() -> None:
        drawn = st.session_state[CHART].selection.get(BOX, {})
        if drawn.get("x") and drawn.get("y"):
            ends = [drawn["x"][0], drawn["x"][-1], drawn["y"][0], drawn["y"][-1]]
            st.query_params[BOX] = f"{view.projection}:" + ",".join(f"{end:.4g}" for end in ends)
        else:
            st.query_params.pop(BOX, None)

    figures.chart(figure, CHART, selected)


def _marked(scope: Scope, view: View) -> dict[str, str]:
    """The fruit that was searched for and its neighbours, with what is written beside them."""
    if not view.searched:
        return {}
    beside = _neighbours(scope, view)
    ranks = {str(name): str(rank) for name, rank in zip(beside["neighbour_id"], beside["rank"], strict=True)}
    return {**ranks, view.searched: view.searched}


def _neighbours(scope: Scope, view: View) -> pd.DataFrame:
    rows = load.neighbours(scope.store, view.run.run_id)
    return rows[rows["fruit_id"] == view.searched]


def _fruit(scope: Scope, view: View) -> None:
    """The fruit that was searched for with its neighbours, else those in the box."""
    st.subheader(WORDS["chosen"], anchor=False)
    if view.searched:
        _searched(scope, view)
        return
    box = _box(view)
    if box is None:
        quiet(WORDS["pick"])
        return
    names = inside_box(view.points, box)
    quiet(WORDS["in_box"].format(n=count(len(names))))
    if names:
        _cards(scope, view, names, {}, f"box-{','.join(names[:3])}")


def _box(view: View) -> tuple[float, float, float, float] | None:
    """The box of the URL, where it belongs to this projection."""
    projection, _, ends = (st.query_params.get(BOX) or "").partition(":")
    try:
        left, right, bottom, top = (float(end) for end in ends.split(","))
    except ValueError:
        return None
    return (left, right, bottom, top) if projection == view.projection else None


def _searched(scope: Scope, view: View) -> None:
    if view.searched not in view.facts.index:
        st.markdown(plain(WORDS["unknown"].format(fruit=view.searched)))
        return
    beside = _neighbours(scope, view)
    notes = {
        str(name): WORDS["near"].format(rank=rank, n=number(similarity))
        for name, rank, similarity in zip(
            beside["neighbour_id"], beside["rank"], beside["similarity"], strict=True
        )
    }
    quiet(WORDS["beside"].format(fruit=view.searched, n=count(len(notes))))
    notes[view.searched] = WORDS["itself"]
    _cards(scope, view, [view.searched, *beside["neighbour_id"].astype(str)], notes, f"near-{view.searched}")


def _cards(scope: Scope, view: View, names: list[str], notes: dict[str, str], key: str) -> None:
    facts = load.fruit_table(scope.store, scope.dataset.dataset_id)
    judged = scope.store.scores(view.run.run_id, view.run.finished, scope.order)
    table = score_table(names, facts, scope.order, judged)
    gallery(scope, table, list(range(len(names))), key, None, notes=notes, run_id=view.run.run_id)


def _caveats(scope: Scope, view: View) -> list[str]:
    trust = evidence.trust(scope, view.run, view.projection)
    folds = pd.to_numeric(view.points["fold"]).nunique(dropna=True)
    several = view.colour == WORDS["by_defect"] and len(scope.defects) > 1
    found = [texts.CAVEATS["synthetic"]] if scope.dataset.synthetic else []
    if trust is not None:
        blurred = trust < evidence.BLURRED
        found.append(evidence.trust_words(trust) + (f" {WORDS['blurred']}" if blurred else ""))
    found += [WORDS["folds"]] if folds > 1 else []
    return found + ([WORDS["several"]] if several else [])

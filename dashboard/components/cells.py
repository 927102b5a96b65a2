"""From a cell of a matrix to the fruit in it: clicked, or chosen from a list with the keyboard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import streamlit as st

from dashboard import texts
from dashboard.charts.confusion import CELL, confusion_matrix
from dashboard.components import figures
from dashboard.components.fruit import gallery
from dashboard.components.text import quiet
from dashboard.export import Provenance
from dashboard.figure import Figure
from dashboard.filters import Scope, choose
from dashboard.format import count
from dashboard.frames.confusion import outcome_of, sides
from dashboard.names import defect_words
from dashboard.scores import OUTCOMES, ScoreTable, class_members, members

WORDS = texts.DEFECTS
NOTHING = WORDS["no_cell"]
CHOSEN = "cell"
"""Key of the chosen cell, in the session and in the URL."""

Members = Callable[[ScoreTable, float | None, int | None], list[int]]


@dataclass(frozen=True)
class Cell:
    """A cell: what it is about, and how to find its fruit."""

    label: str
    defect: str
    members: Members


def cells(scope: Scope) -> dict[str, Cell]:
    """Every cell of the page by its label: each outcome of each defect, and each pair of classes."""
    found = []
    for defect in scope.defects:
        for outcome in OUTCOMES:
            label = WORDS["cell"].format(defect=defect_words(defect), outcome=texts.OUTCOMES[outcome])
            found.append(Cell(label, defect, partial(_of_outcome, defect, outcome)))
    if scope.multiclass:
        for truth in scope.order:
            for said in scope.order:
                found.append(Cell(pair_label(truth, said), said, partial(_of_pair, truth, said)))
    return {cell.label: cell for cell in found}


def _of_outcome(
    defect: str, outcome: str, table: ScoreTable, threshold: float | None, fold: int | None
) -> list[int]:
    return members(table, defect, outcome, threshold, fold)


def _of_pair(
    truth: str, said: str, table: ScoreTable, threshold: float | None, fold: int | None
) -> list[int]:
    del threshold  # the class with the highest score is chosen, whatever the threshold
    return class_members(table, truth, said, fold)


def pair_label(truth: str, said: str) -> str:
    """A cell of the class matrix in words."""
    key = "pair_right" if truth == said else "pair"
    return WORDS[key].format(truth=defect_words(truth), said=defect_words(said))


def matrix_chart(
    scope: Scope, figure: Figure, defect: str, *, clickable: bool = True, place: str = ""
) -> None:
    """The chart of one defect; a click on a cell of a matrix chooses its fruit."""
    key = f"chart-{figure.name}-{place}"
    if not clickable or figure.chart is not confusion_matrix:
        figures.chart(figure, key)
        return
    names = sides(multiclass=scope.multiclass)

    def label(truth: str, said: str) -> str:
        outcome = texts.OUTCOMES[outcome_of(truth, said, names)]
        return WORDS["cell"].format(defect=defect_words(defect), outcome=outcome)

    _clickable(figure, key, label)


def class_charts(scope: Scope, shown: list[Figure], stamp: Provenance) -> None:
    """The class matrix, and the difference beside it where there is one."""
    by_words = {defect_words(name): name for name in scope.order}
    columns = st.columns(len(shown), gap="medium")
    for column, figure in zip(columns, shown, strict=True):
        with column:
            figures.head(figure, stamp, figure.name)
            quiet(figure.sentence)
            if figure.chart is confusion_matrix:
                _clickable(figure, figure.name, lambda a, b: pair_label(by_words[a], by_words[b]))
            else:
                figures.chart(figure, figure.name)


def _clickable(figure: Figure, key: str, label: Callable[[str, str], str]) -> None:
    """A chart whose clicks choose a cell. Its key changes with every click, so that each one counts."""
    clicks = f"clicks-{key}"
    current = f"{key}-{st.session_state.setdefault(clicks, 0)}"

    def clicked() -> None:
        points = st.session_state[current].selection.get(CELL, [])
        if points:
            st.session_state[clicks] += 1
            st.session_state[CHOSEN] = label(points[0]["truth"], points[0]["said"])

    figures.chart(figure, current, clicked)


def fruit_behind(scope: Scope, run_id: str, finished: str, threshold: float | None, fold: int | None) -> None:
    """The fruit of the chosen cell. Predictions and pictures are read only once a cell is chosen."""
    st.subheader(WORDS["fruit"], anchor=False)
    options = cells(scope)
    with st.container(width=420):
        chosen = options.get(choose(WORDS["fruit_hint"], [NOTHING, *options], CHOSEN))
    if chosen is None:
        return
    table = scope.scores(run_id, finished)
    rows = chosen.members(table, threshold, fold)
    quiet(WORDS["fruit_count"].format(n=count(len(rows))))
    if rows:
        gallery(scope, table, rows, f"fruit-{chosen.label}", threshold, run_id=run_id, defect=chosen.defect)

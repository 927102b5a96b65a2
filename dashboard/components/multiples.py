"""Small multiples on a page: a title with one export for all of them, then a chart a defect."""

from __future__ import annotations

from itertools import groupby

import pandas as pd
import streamlit as st

from dashboard import texts
from dashboard.components import figures
from dashboard.components.cells import matrix_chart
from dashboard.components.text import quiet, titled
from dashboard.export import Provenance
from dashboard.figure import Figure, Panels
from dashboard.filters import Scope

ACROSS = 3
NARROWEST = 270
"""Pixels below which a matrix cannot hold its words."""

Group = tuple[str, tuple[Figure, ...]]


def panels(
    scope: Scope, title: str, note: str, groups: list[Group], table: pd.DataFrame, stamp: Provenance
) -> None:
    """One chart a defect, or a row of charts a defect where there are several groups.

    Args:
        scope: the sidebar's choice.
        title: of all of them together.
        note: how to read them; may be empty.
        groups: a heading and its figures, one a defect in the order of ``scope.defects``.
        table: rows of the CSV file.
        stamp: where they come from.
    """
    together = Panels(
        name=title.lower().replace(" ", "-"),
        title=title,
        sentence=" – ".join(heading for heading, _ in groups if heading),
        figures=tuple(one for row in zip(*(some for _, some in groups), strict=True) for one in row),
        columns=len(groups) if len(groups) > 1 else 4,
        table=table,
    )
    figures.head(together, stamp, "multiples")
    if note:
        quiet(note)
    if len(groups) == 1:
        _families(scope, groups[0][1])
    else:
        _side_by_side(scope, groups)


def _families(scope: Scope, shown: tuple[Figure, ...]) -> None:
    """Internal defects, then external ones, each under its heading."""
    kinds = dict.fromkeys(scope.order, "") if scope.multiclass else scope.kinds
    for kind, members in groupby(zip(scope.defects, shown, strict=True), key=lambda pair: kinds[pair[0]]):
        pairs = list(members)
        if kind:
            quiet(texts.FAMILIES.get(kind, texts.FAMILIES["other"]))
        with st.grid(ACROSS, min_column_width=NARROWEST, gap="medium"):
            for defect, figure in pairs:
                with st.container(gap="xxsmall"):
                    titled(figure.title, figure.sentence)
                    matrix_chart(scope, figure, defect)


def _side_by_side(scope: Scope, groups: list[Group]) -> None:
    """A row a defect: this run, the other run, the difference."""
    for i, defect in enumerate(scope.defects):
        columns = st.columns(len(groups), gap="medium")
        for column, (heading, shown) in zip(columns, groups, strict=True):
            figure = shown[i]
            with column, st.container(gap="xxsmall"):
                titled(figure.title, heading, figure.sentence)
                matrix_chart(scope, figure, defect, clickable=heading == groups[0][0], place=heading)

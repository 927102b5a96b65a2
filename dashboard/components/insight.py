"""What a model adds to the card of a fruit: the heat map over its pictures, and the fruit most like it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from dashboard import loaders_findings as load
from dashboard import texts
from dashboard.evidence.space import projected
from dashboard.filters import KEYS
from dashboard.frames.explanations import Case, cases
from dashboard.heat import Cell, heat_sheet
from dashboard.names import defect_words
from dashboard.options import favourite, run_options
from dashboard.pictures import MOST_SHEET_BYTES, tile_side
from dashboard.scope import Scope

WORDS = texts.FRUIT
NEAREST = 3
"""Neighbours that a card names."""


@dataclass(frozen=True)
class Insight:
    """What is known of the fruit of a gallery.

    Attributes:
        cases: fruit id to the case whose heat map is drawn; None = none are asked for.
        opacity: of the heat maps, 0 to 1.
        near: fruit id to the fruit most like it; None = no features are in the store, so nothing is linked.
    """

    cases: dict[str, Case] | None = None
    opacity: float = 0.0
    near: dict[str, list[str]] | None = field(default=None)


def insight(scope: Scope, run_id: str, defect: str, names: list[str]) -> Insight:
    """Ask whether heat maps are wanted, and gather what cards say.

    Args:
        scope: what is looked at.
        run_id: whose decisions the cards show; empty = nobody's.
        defect: whose heat map comes first; empty = that of the highest score.
        names: ids of the fruit on this page of the gallery.
    """
    shown, opacity = _heat(scope, run_id, defect, names)
    return Insight(shown, opacity, _near(scope, run_id, names))


def _heat(scope: Scope, run_id: str, defect: str, names: list[str]) -> tuple[dict[str, Case] | None, float]:
    """The switch and the strength; nothing is there for a run that nobody explained."""
    maps = load.attributions(scope.store, run_id) if run_id else None
    if maps is None or maps.empty:
        return None, 0.0
    bound: dict[str, Any] = {"bind": "query-params"}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        if not st.toggle(WORDS["heat"], key="card-heat", help=texts.GLOSSARY["heat map"], **bound):
            return None, 0.0
        strength = texts.GRADCAM["opacity"]
        opacity = st.slider(strength, 0.0, 1.0, 0.7, 0.1, key="heat-opacity", width=260, **bound)
    found: dict[str, Case] = {}
    for case in cases(maps[maps["fruit_id"].isin(names) & maps["defect"].isin(scope.defects)]).values():
        best = found.get(case.fruit_id)
        if best is None or _first(case, defect) > _first(best, defect):
            found[case.fruit_id] = case
    return found, float(opacity)


def _first(case: Case, defect: str) -> tuple[bool, float]:
    """Which case of a fruit is drawn: that of the defect, else that of the highest score."""
    return case.defect == defect, case.score if case.score == case.score else -1.0


def _near(scope: Scope, run_id: str, names: list[str]) -> dict[str, list[str]] | None:
    """The fruit most like each, by the features of the run itself, else of the best that was projected."""
    runs = projected(scope)
    if runs.empty:
        return None
    of = run_id if run_id in set(runs["run_id"]) else favourite(run_options(runs), runs).run_id
    beside = load.neighbours(scope.store, of)
    beside = beside[beside["fruit_id"].isin(names) & (beside["rank"] <= NEAREST)]
    near: dict[str, list[str]] = {}
    for name, other in zip(beside["fruit_id"], beside["neighbour_id"], strict=True):
        near.setdefault(str(name), []).append(str(other))
    return near


def heated(scope: Scope, case: Case, images: dict[str, Any], opacity: float) -> bytes:
    """The pictures of a fruit with the heat map of a case over them, no larger than a thumbnail."""
    cells = heat_cells(scope, case, images, tuple(scope.dataset.modalities))
    return heat_sheet(scope.dataset.root, cells, opacity, tile_side(max(map(len, cells))), MOST_SHEET_BYTES)


def heat_words(known: Insight, fruit_id: str) -> str:
    """Which heat map is drawn on a card; empty where none is asked for."""
    if known.cases is None:
        return ""
    case = known.cases.get(fruit_id)
    return WORDS["no_heat"] if case is None else WORDS["heat_of"].format(defect=defect_words(case.defect))


def links(known: Insight, fruit_id: str) -> str:
    """HTML: a link to the fruit among all others, and to those most like it; empty where nothing is known."""
    if known.near is None:
        return ""
    near = ", ".join(_link(name, name) for name in known.near.get(fruit_id, []))
    alike = f" · {escape(WORDS['alike'])} {near}" if near else ""
    return f"<p>{_link(fruit_id, WORDS['open'])}{alike}</p>"


def _link(fruit_id: str, words: str) -> str:
    """To the feature space with this fruit, under the same filters but that of one pallet."""
    state = st.session_state
    kept = {key: str(state[key]) for key in KEYS if key in state and key != "group"}
    return f"<a href='{escape('space?' + urlencode(kept | {'fruit': fruit_id}))}'>{escape(words)}</a>"


def heat_cells(
    scope: Scope, case: Case, images: dict[str, Any], modalities: tuple[str, ...]
) -> tuple[tuple[Cell, ...], ...]:
    """Pictures and maps, a row a sensor and a column a view."""
    store: Path = scope.store.path
    rows = []
    for modality in modalities:
        row = []
        for view in scope.dataset.modalities[modality]:
            relative = case.maps.get((modality, view), "")
            heat = load.artifact_file(store, relative) if relative else None
            row.append((str(images.get(modality, {}).get(view, "")), "" if heat is None else str(heat)))
        rows.append(tuple(row))
    return tuple(rows)

"""Cards of explained fruit: every picture with its heat map, one run or two side by side."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from html import escape
from typing import Any

import streamlit as st

from dashboard import texts
from dashboard.components.fruit import STYLE
from dashboard.components.insight import heat_cells
from dashboard.components.text import quiet
from dashboard.format import missing, percent, sensors, sentence_start
from dashboard.frames.explanations import Case
from dashboard.heat import SIDE, heat_sheet
from dashboard.names import defect_words
from dashboard.pictures import available, tile_side
from dashboard.scope import Scope

WORDS = texts.GRADCAM
ON_A_PAGE = 6


@dataclass(frozen=True)
class Side:
    """One run of the gallery and what it saw."""

    label: str
    cases: dict[tuple[str, str], Case]


def heat_gallery(
    scope: Scope, shown: list[Case], sides: list[Side], modalities: tuple[str, ...], opacity: float
) -> None:
    """Cards, a page at a time.

    Args:
        scope: what is looked at.
        shown: which cases, in order.
        sides: the run, and perhaps another one beside it.
        modalities: sensors to show, a row each.
        opacity: of the heat maps, 0 to 1.
    """
    pages = -(-len(shown) // ON_A_PAGE)
    page = st.pagination(pages, key="heat-page") if pages > 1 else 1
    here = shown[(page - 1) * ON_A_PAGE : page * ON_A_PAGE]
    facts = scope.store.fruit(scope.dataset.dataset_id, tuple(case.fruit_id for case in here))
    images = {str(row["fruit_id"]): json.loads(row["images"]) for row in facts.to_dict("records")}
    if not available(scope.dataset.root):
        quiet(texts.FRUIT["no_pictures"].format(root=scope.dataset.root))
    cards = [_card(scope, case, sides, images.get(case.fruit_id, {}), modalities, opacity) for case in here]
    st.html(STYLE)
    wide = " wide" if len(sides) > 1 else ""
    st.html(f"<div class='cards{wide}'>{''.join(cards)}</div>")


def _card(
    scope: Scope,
    case: Case,
    sides: list[Side],
    images: dict[str, Any],
    modalities: tuple[str, ...],
    opacity: float,
) -> str:
    where = "" if case.group in ("", case.fruit_id) else texts.FRUIT["group"].format(group=case.group)
    parts = [_side(scope, side, case, images, modalities, opacity, several=len(sides) > 1) for side in sides]
    return (
        f"<article class='card'><h3>{escape(case.fruit_id)}</h3>"
        f"<p class='quiet'>{escape(where)}</p><div class='sides'>{''.join(parts)}</div></article>"
    )


def _side(
    scope: Scope,
    side: Side,
    case: Case,
    images: dict[str, Any],
    modalities: tuple[str, ...],
    opacity: float,
    *,
    several: bool,
) -> str:
    own = side.cases.get((case.fruit_id, case.defect))
    name = f"<p class='quiet'>{escape(side.label)}</p>" if several else ""
    if own is None:
        return f"<div>{name}<p>{escape(WORDS['unexplained'])}</p></div>"
    cells = heat_cells(scope, own, images, modalities)
    size = tile_side(max(map(len, cells)), SIDE)
    data = base64.b64encode(heat_sheet(scope.dataset.root, cells, opacity, size)).decode()
    alt = WORDS["alt"].format(
        fruit=case.fruit_id, defect=defect_words(case.defect), sensors=sensors(list(modalities))
    )
    return (
        f"<div>{name}<p><b>{escape(sentence_start(defect_words(own.defect)))}</b> {escape(_said(own))}</p>"
        f"<img src='data:image/webp;base64,{data}' alt='{escape(alt)}' loading='lazy'></div>"
    )


def _said(case: Case) -> str:
    """Outcome and score in words."""
    outcome = texts.OUTCOMES.get(case.outcome, "")
    score = "" if missing(case.score) else WORDS["score_of"].format(score=percent(case.score))
    return " · ".join(part for part in (outcome, score) if part)

"""Fruit cards: pictures of every sensor, truth and decision with score bars, pressure against the population.

A page of cards is one piece of HTML in which every value from the store is escaped.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import texts
from dashboard.components.insight import Insight, heat_words, heated, insight, links
from dashboard.components.page import look
from dashboard.components.text import quiet
from dashboard.filters import Scope
from dashboard.format import missing, number, percent, sensors
from dashboard.names import defect_words
from dashboard.pictures import available, sheet, tile_side
from dashboard.scores import ScoreTable

WORDS = texts.FRUIT
ON_A_PAGE = 6
MOST_SCORES = 5

STYLE = Path(__file__).parent / "cards.css"


@dataclass(frozen=True)
class Card:
    """One fruit as the table of predictions and the store know it."""

    row: int
    fruit_id: str
    group: str
    images: dict[str, dict[str, str]]
    pressures: dict[str, float | None]


@dataclass(frozen=True)
class Page:
    """What all cards of a gallery share; see ``gallery``."""

    scope: Scope
    table: ScoreTable
    threshold: float | None
    before: ScoreTable | None
    behind: Insight
    pictures: bool


def gallery(
    scope: Scope,
    table: ScoreTable,
    rows: list[int],
    key: str,
    threshold: float | None,
    before: ScoreTable | None = None,
    notes: dict[str, str] | None = None,
    run_id: str = "",
    defect: str = "",
) -> None:
    """Fruit cards, a page at a time.

    Args:
        scope: the sidebar's choice.
        table: the run's predictions.
        rows: which of its rows, in order.
        key: of the page switch.
        threshold: of the decisions; None = as trained.
        before: predictions of a run that this one is compared with; what it said stands on the cards too.
        notes: fruit id to what its card says first.
        run_id: whose predictions they are; its heat maps can be laid over the pictures.
        defect: whose heat map comes first.
    """
    pages = -(-len(rows) // ON_A_PAGE)
    page = st.pagination(pages, key=key) if pages > 1 else 1
    here = rows[(page - 1) * ON_A_PAGE : page * ON_A_PAGE]
    facts = scope.store.fruit(scope.dataset.dataset_id, tuple(table.fruit_ids[row] for row in here))
    # By id and never by place: a fruit that the store does not know must not shift pictures of others.
    known = {str(record["fruit_id"]): record for record in facts.to_dict("records")}
    cards = [_card(scope, known[table.fruit_ids[row]], row) for row in here if table.fruit_ids[row] in known]
    pictures = available(scope.dataset.root)
    if not pictures:
        quiet(WORDS["no_pictures"].format(root=scope.dataset.root))
    said = notes or {}
    behind = insight(scope, run_id if pictures else "", defect, [card.fruit_id for card in cards])
    page_of = Page(scope, table, threshold, before, behind, pictures)
    parts = [_html(page_of, card, said.get(card.fruit_id, "")) for card in cards]
    st.html(STYLE)
    st.html(f"<div class='cards'>{''.join(parts)}</div>")


def _card(scope: Scope, record: dict[Any, Any], row: int) -> Card:
    images, pressures = json.loads(record["images"]), json.loads(record["pressures"])
    return Card(row, str(record["fruit_id"]), str(record["fruit_group"]), images, pressures)


def _picture(scope: Scope, card: Card, behind: Insight) -> str:
    """HTML: every view of every sensor, under its heat map where one is asked for."""
    views = tuple(
        tuple(str(card.images.get(sensor, {}).get(view, "")) for view in names)
        for sensor, names in scope.dataset.modalities.items()
    )
    if not views:
        return ""
    case = (behind.cases or {}).get(card.fruit_id)
    root = scope.dataset.root
    side = tile_side(max(map(len, views)))
    drawn = sheet(root, views, side) if case is None else heated(scope, case, card.images, behind.opacity)
    alt = escape(WORDS["alt"].format(fruit=card.fruit_id, sensors=sensors(list(scope.dataset.modalities))))
    data = base64.b64encode(drawn).decode()
    return f"<img src='data:image/webp;base64,{data}' alt='{alt}' loading='lazy'>"


def _html(shown: Page, card: Card, note: str) -> str:
    scope = shown.scope
    name, group = escape(card.fruit_id), escape(card.group)
    where = "" if card.group == card.fruit_id else escape(WORDS["group"].format(group=card.group))
    heat = heat_words(shown.behind, card.fruit_id)
    body = [
        f"<h3>{name}</h3><p class='quiet' title='{group}'>{where}</p>",
        f"<p class='note'>{escape(note)}</p>" if note else "",
        _picture(scope, card, shown.behind) if shown.pictures else "",
        f"<p class='quiet'>{escape(heat)}</p>" if heat else "",
        *_said(shown, card.row),
        *_scores(scope, shown.table, card.row),
        *_pressures(scope.store.pressure_quantiles(scope.dataset.dataset_id), card.pressures),
        links(shown.behind, card.fruit_id),
    ]
    return f"<article class='card'>{''.join(body)}</article>"


def _said(shown: Page, row: int) -> list[str]:
    """Truth and decision in words, between them the earlier decision where there is one."""
    scope, table, before = shown.scope, shown.table, shown.before
    told = [(WORDS["truth"], table.truth[row])]
    if before is not None and table.fruit_ids[row] in before.fruit_ids:
        told.append((WORDS["before"], before.decided[before.fruit_ids.index(table.fruit_ids[row])]))
    told.append((WORDS["said"] if before is None else WORDS["after"], table.said(shown.threshold)[row]))
    lines = []
    for label, values in told:
        if np.isnan(values).all():
            continue  # nobody has looked at this fruit, or no run has
        names = [defect_words(table.defects[i]) for i in np.flatnonzero(values == 1)]
        words = ", ".join(names) or scope.dataset.healthy or WORDS["nothing"]
        lines.append(f"<p><b>{escape(label)}</b> {escape(words)}</p>")
    return lines


def _scores(scope: Scope, table: ScoreTable, row: int) -> list[str]:
    """Bars of the highest scores and of every true defect."""
    score = np.nan_to_num(table.score[row], nan=-1.0)
    order = [int(i) for i in np.argsort(-score, kind="stable") if score[i] >= 0]
    keep = [i for place, i in enumerate(order) if place < MOST_SCORES or table.truth[row, i] == 1]
    tints = scope.tints
    bars = []
    for i in keep:
        name = table.defects[i]
        style = f"width:{100 * score[i]:.1f}%;background:{tints[name].colour(look())}"
        bars.append(
            f"<div class='row'><span>{_bold(escape(defect_words(name)), table.truth[row, i] == 1)}</span>"
            f"<div class='track'><div class='bar' style='{style}'></div></div>"
            f"<span>{escape(percent(float(score[i])))}</span></div>"
        )
    return bars


def _bold(text: str, yes: bool) -> str:
    return f"<b>{text}</b>" if yes else text


def _pressures(population: pd.DataFrame, readings: dict[str, float | None]) -> list[str]:
    """Each reading as a mark on the range of the population; the band holds 90 of 100 fruit."""
    bars = []
    for row in population.to_dict("records"):
        value, low, high = readings.get(row["reading"]), row["lowest"], row["highest"]
        mark = ""
        span = (high - low) or 1.0
        if not missing(value) and value is not None:
            mark = f"<div class='dot' style='left:{100 * (value - low) / span:.1f}%'></div>"
        start, width = ((row["low"] - low) / span, (row["high"] - row["low"]) / span)
        band = f"left:{100 * start:.1f}%;width:{100 * width:.1f}%"
        bars.append(
            f"<div class='row' title='{escape(WORDS['population'])}'>"
            f"<span>{escape(defect_words(str(row['reading'])))}</span>"
            f"<div class='track'><div class='band' style='{band}'></div>{mark}</div>"
            f"<span>{escape(number(value))}</span></div>"
        )
    return bars

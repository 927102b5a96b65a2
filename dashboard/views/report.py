"""Report: the figures that were collected, their captions and order, and the review pack made of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from backend.store.annotations import BasketItem
from dashboard import story, texts
from dashboard.answers import Answer
from dashboard.basket import Exhibit, thaw
from dashboard.components import figures, page, states
from dashboard.components.basket import notes_of_store
from dashboard.components.text import quiet
from dashboard.figure import Panels
from dashboard.filters import Scope
from dashboard.format import plain, plural
from dashboard.loaders_findings import StoreError
from dashboard.writers import MIME, WRITERS

WORDS = texts.REPORT
LABELS = {".html": "html", ".pptx": "pptx", ".zip": "zip"}


def show(scope: Scope) -> None:
    """Draw the page."""
    page.heading(scope, WORDS["question"])
    _body(scope)


@st.fragment
def _body(scope: Scope) -> None:
    """Everything below the heading: a button here redraws this part alone."""
    try:
        items = notes_of_store().basket()
    except StoreError as error:
        st.error(plain(str(error)), icon=":material/error:")
        items = []
    held = plural(len(items), WORDS["figure"], WORDS["figure_many"])
    text = WORDS["holds"].format(n=held) if items else WORDS["holds_nothing"]
    page.answer(Answer(text), ("review pack",))
    exhibits = [] if items else story.told(scope)
    if not items:
        st.markdown(plain(WORDS["how"]))
    _downloads(scope, items, exhibits)
    for place, item in enumerate(items):
        _item(items, place, item)
    if exhibits:
        st.markdown(f"**{plain(WORDS['default'])}**")
        st.markdown("\n".join(f"- {plain(exhibit.shown.title)}" for exhibit in exhibits))


def _downloads(scope: Scope, items: list[BasketItem], exhibits: list[Exhibit]) -> None:
    """The pack as a file; it is made when it is asked for."""
    if not items and not exhibits:
        st.markdown(plain(WORDS["nothing_to_tell"]))
        return
    with st.container(width=520):
        usual = WORDS["pack_title"].format(dataset=scope.dataset.name)
        title = st.text_input(WORDS["title_of_pack"], value=usual, key="pack-title")
    with st.container(horizontal=True, gap="small"):
        for ending, label in LABELS.items():
            st.download_button(
                WORDS[label],
                data=partial(_made, scope, items, exhibits, title or "", ending),
                file_name=f"review-pack{ending}",
                mime=MIME[ending],
                key=f"pack{ending}",
                on_click="ignore",
                icon=":material/download:",
            )
        if items:
            st.button(WORDS["empty"], key="basket-empty", type="tertiary", on_click=_remove_all)
    quiet(WORDS["command"] + states.store_option(scope.store.path))


def _made(scope: Scope, items: list[BasketItem], exhibits: list[Exhibit], title: str, ending: str) -> bytes:
    shown = exhibits or [thaw(item.payload, item.caption, item.item) for item in items]
    return WRITERS[ending](story.pack_of(scope, shown, title))


def _remove_all() -> None:
    basket = notes_of_store()
    basket.remove([item.item for item in basket.basket()])


def _item(items: list[BasketItem], place: int, item: BasketItem) -> None:
    """One figure with its caption and its place."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{place + 1}. {plain(item.title)}**", width="stretch")
            row: dict[str, Any] = {"type": "tertiary", "on_click": _move}
            for word, icon, to in (("up", "arrow_upward", place - 1), ("down", "arrow_downward", place + 1)):
                st.button(
                    WORDS[word],
                    icon=f":material/{icon}:",
                    key=f"{word}-{item.item}",
                    disabled=not 0 <= to < len(items),
                    args=(items, place, to),
                    **row,
                )
            st.button(
                WORDS["remove"],
                key=f"remove-{item.item}",
                type="tertiary",
                on_click=_remove,
                args=(item.item,),
            )
        try:
            exhibit = thaw(item.payload, item.caption, item.item)
        except StoreError as error:
            st.error(plain(str(error)), icon=":material/error:")
            return
        key = f"caption-{item.item}"
        st.text_area(
            WORDS["caption"],
            value=item.caption or exhibit.figure.sentence,
            key=key,
            height="content",
            on_change=_caption,
            args=(item.item, exhibit.figure.sentence, key),
        )
        with st.expander(WORDS["look"], key=f"look-{item.item}", on_change="rerun") as look:
            if look.open:
                _preview(exhibit, item.item)
        quiet(exhibit.stamp.line())


def _preview(exhibit: Exhibit, item: int) -> None:
    """The figure as it will be drawn."""
    figure = exhibit.shown
    if isinstance(figure, Panels):
        with st.grid(3, min_column_width=280, gap="medium"):
            for part in figure.figures:
                with st.container(gap="xxsmall"):
                    st.markdown(f"**{plain(part.title)}**")
                    figures.chart(part, f"preview-{item}-{part.name}")
    else:
        figures.chart(figure, f"preview-{item}")


def _move(items: list[BasketItem], old: int, new: int) -> None:
    order = [item.item for item in items]
    order.insert(new, order.pop(old))
    notes_of_store().order(order)


def _remove(item: int) -> None:
    notes_of_store().remove([item])


def _caption(item: int, sentence: str, key: str) -> None:
    text = str(st.session_state[key]).strip()
    notes_of_store().caption(item, "" if text == sentence else text)

"""What every page opens and closes with: where we are, the answer in one sentence, and its caveats."""

from __future__ import annotations

import streamlit as st

from dashboard import texts
from dashboard.answers import BETTER, WORSE, Answer
from dashboard.components.text import quiet, small
from dashboard.export import Provenance
from dashboard.filters import Scope
from dashboard.format import plain
from dashboard.theme import LIGHT, LOOKS, Look


def look() -> Look:
    """The colours of the reader's mode."""
    return LOOKS.get(st.context.theme.type or "", LIGHT)


def heading(
    scope: Scope,
    question: str,
    *,
    by_pallet: bool = False,
    unfollowed: str = "any_group",
    over_all: bool = False,
) -> None:
    """Data set, study and the question that the page answers.

    Args:
        scope: what is looked at.
        question: of the page.
        by_pallet: whether the page follows the filter of pallets; one that does not says so.
        unfollowed: the sentence that says so.
        over_all: whether its headline is over all defects, also where a group of them is chosen.
    """
    parts = [scope.dataset.name, scope.study]
    if scope.group and by_pallet:
        parts.append(texts.FILTERS["only_group"].format(group=scope.group))
    place = small(" · ".join(parts))
    badge = f" :orange-badge[{texts.SYNTHETIC}]" if scope.dataset.synthetic else ""
    st.markdown(place + badge, help=texts.GLOSSARY["synthetic"] if scope.dataset.synthetic else None)
    st.markdown(f":gray[{plain(question)}]")
    if scope.group and not by_pallet:
        quiet(texts.FILTERS[unfollowed].format(group=scope.group))
    if scope.family and over_all:
        quiet(texts.FILTERS["over_all"].format(family=scope.family))


def answer(said: Answer, words: tuple[str, ...] = ("interval",)) -> None:
    """The sentence, its verdict, and the technical words in it as a tooltip.

    Args:
        said: what to say.
        words: entries of the glossary.
    """
    help_text = "\n\n".join(f"**{word}**: {texts.GLOSSARY[word]}" for word in words)
    st.title(plain(said.text), anchor=False, help=help_text or None)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if said.verdict:
            verdict(said.verdict)
        if said.detail:
            st.markdown(plain(said.detail), width="stretch")


def verdict(found: str) -> None:
    """A verdict as a badge: ``better``, ``worse``, ``not distinguishable`` or ``not tested``."""
    words, help_text = texts.VERDICTS[found], texts.VERDICT_HELP[found]
    if found == BETTER:
        st.badge(words, icon=":material/trending_up:", color="green", help=help_text)
    elif found == WORSE:
        st.badge(words, icon=":material/trending_down:", color="red", help=help_text)
    else:
        st.badge(words, icon=":material/drag_handle:", color="gray", help=help_text)


def caveats(found: list[str]) -> None:
    """What would make the answer wrong; nothing where nothing would."""
    if not found:
        return
    st.markdown(f"**{plain(texts.OVERVIEW['caveats'])}**")
    st.markdown("\n".join(f"- {plain(text)}" for text in found))


def provenance(
    scope: Scope, runs: tuple[str, ...], commit: object = "", *more: tuple[str, str]
) -> Provenance:
    """Where the figures of this page come from, see ``Scope.provenance``."""
    return scope.provenance(runs, commit, *more)

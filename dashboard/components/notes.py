"""What people write about a run: a star, tags and a note. It is kept beside the store, never in it."""

from __future__ import annotations

import streamlit as st

from dashboard import texts
from dashboard.components.basket import notes_of_store
from dashboard.components.text import quiet
from dashboard.format import plain
from dashboard.loaders_findings import Note, StoreError

WORDS = texts.NOTES
MOST_TAGS, MOST_LETTERS = 12, 60


def note_of(run_id: str) -> None:
    """The star, the tags and the note of one run; each is kept as soon as it changes."""
    try:
        basket = notes_of_store()
        own, known = basket.note(run_id), basket.notes()
    except StoreError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    tags = sorted({tag for note in known.values() for tag in note.tags} | set(own.tags))
    keys = {part: f"{part}-{run_id}" for part in ("star", "tags", "note")}

    def keep() -> None:
        state = st.session_state
        chosen = tuple(
            dict.fromkeys(str(tag).strip()[:60] for tag in state[keys["tags"]] if str(tag).strip())
        )
        note = Note(str(state[keys["note"]] or "").strip(), bool(state[keys["star"]]), chosen[:MOST_TAGS])
        try:
            notes_of_store().set_note(run_id, note)
        except StoreError as error:
            st.toast(plain(str(error)), icon=":material/error:", duration="long")

    st.toggle(WORDS["star"], value=own.star, key=keys["star"], on_change=keep)
    st.multiselect(
        WORDS["tags"],
        tags,
        default=list(own.tags),
        key=keys["tags"],
        accept_new_options=True,
        max_selections=MOST_TAGS,
        placeholder=WORDS["tags_hint"],
        on_change=keep,
    )
    st.text_area(WORDS["note"], value=own.text, key=keys["note"], height=140, on_change=keep)
    quiet(WORDS["where"].format(file=notes_of_store().path.name))

"""Notes and the basket lie beside the store, keep their order, and never touch the store."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from backend.errors import StoreError
from backend.store import annotations
from backend.store.annotations import Annotations, Note, notes_path


@pytest.fixture
def beside(tmp_path: Path) -> Annotations:
    return Annotations(tmp_path / "store.db")


def test_the_file_is_named_after_the_store() -> None:
    assert notes_path(Path("runs/store.db")) == Path("runs/store.notes.db")


def test_nothing_is_made_by_reading(beside: Annotations) -> None:
    assert beside.notes() == {} and beside.basket() == [] and beside.note("r") == Note()
    assert beside.basket_size() == 0 and not beside.path.exists()


def test_a_note_is_kept_until_it_is_empty(beside: Annotations) -> None:
    note = Note("looks fine; <b>ask</b>", True, ("line 3", "best"))
    beside.set_note("r1", note)
    assert Annotations(beside.path.with_name("store.db")).notes() == {"r1": note}
    beside.set_note("r1", Note(star=True))
    assert beside.note("r1") == Note(star=True)
    beside.set_note("r1", Note())
    assert beside.notes() == {}


def test_the_basket_keeps_its_order_and_holds_nothing_twice(beside: Annotations) -> None:
    a, b, c = (beside.put_into_basket(name, f'"{name}"') for name in "abc")
    assert beside.put_into_basket("a again", '"a"') == a
    beside.order([c, a, b])
    assert [item.title for item in beside.basket()] == ["c", "a", "b"]
    beside.caption(a, "mine")
    beside.remove([c])
    assert [(item.title, item.caption) for item in beside.basket()] == [("a", "mine"), ("b", "")]
    beside.put_into_basket("d", '"d"')
    assert [item.title for item in beside.basket()] == ["a", "b", "d"] and beside.basket_size() == 3


def test_what_is_too_much_is_refused(beside: Annotations, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotations, "MOST_FIGURES", 1)
    monkeypatch.setattr(annotations, "MOST_PAYLOAD", 10)
    beside.put_into_basket("a", '"a"')
    with pytest.raises(StoreError, match="holds 1 figures already"):
        beside.put_into_basket("b", '"b"')
    with pytest.raises(StoreError, match="11 characters"):
        beside.put_into_basket("c", "x" * 11)
    with pytest.raises(StoreError, match="a note of"):
        beside.set_note("r", Note("x" * 20_001))


def test_several_people_write_at_once(tmp_path) -> None:
    for attempt in range(30):  # the first writers of a file all find it empty
        beside, together = Annotations(tmp_path / f"{attempt}.db"), threading.Barrier(3)

        def write(name: str, beside: Annotations = beside, together: threading.Barrier = together) -> None:
            together.wait()
            for i in range(3):
                beside.put_into_basket(f"{name}{i}", f'"{name}{i}"')

        threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert beside.basket_size() == 9


def test_a_foreign_file_is_left_alone(beside: Annotations) -> None:
    with sqlite3.connect(beside.path) as connection:
        connection.execute("CREATE TABLE cats (name)")
    for act in (beside.notes, lambda: beside.set_note("r", Note("x"))):
        with pytest.raises(StoreError, match="not a notes database"):
            act()
    beside.path.write_text("words " * 1000)
    with pytest.raises(StoreError, match=str(beside.path)):
        beside.basket()


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        Annotations(tmp_path / "none" / "store.db").set_note("r", Note("x"))

"""What pages need is imported while the server has nothing to draw."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard import ahead, pages


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules that were asked for, none of them imported; pauses are short."""
    names: list[str] = []
    monkeypatch.setattr(ahead, "import_module", names.append)
    monkeypatch.setattr(ahead, "PAUSE", 0.05)
    return names


def until(condition) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_a_server_imports_ahead_once_pages_first(imported: list[str]) -> None:
    start = ahead.importer(["a page", "another"], ahead.Drawing())
    for _ in range(3):
        start()
    expected = ["a page", "another", *ahead.LATER]
    assert until(lambda: len(imported) == len(expected))
    time.sleep(0.2)
    assert imported == expected


def test_nothing_is_imported_while_a_page_is_drawn(imported: list[str]) -> None:
    drawing = ahead.Drawing()
    start = ahead.importer(["a page"], drawing)
    with pytest.raises(ValueError, match="of the page"), drawing.page():
        start()
        time.sleep(0.3)
        assert imported == []
        raise ValueError("of the page")
    assert until(lambda: len(imported) == 1 + len(ahead.LATER))


def test_readers_without_a_pause_do_not_stop_the_imports(
    imported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "PATIENCE", 0.02)
    drawing = ahead.Drawing()
    with drawing.page():
        ahead.importer(["a page"], drawing)()
        assert until(lambda: len(imported) == 1 + len(ahead.LATER))


def test_every_page_and_what_is_named_can_be_imported() -> None:
    for name in (*ahead.FIRST, *(f"dashboard.views.{entry.name}" for entry in pages.PAGES), *ahead.LATER):
        ahead.import_module(name)
        assert name in sys.modules


def test_the_server_imports_the_opening_page_as_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboard import app

    begun = threading.Event()
    monkeypatch.setattr(app, "import_first", begun.set)

    async def start() -> None:
        async with app.starting(app.app):
            await asyncio.to_thread(begun.wait, 10)

    # In a thread of its own: a browser test before this one may have left its loop running in ours.
    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(asyncio.run, start()).result()
    assert begun.is_set()

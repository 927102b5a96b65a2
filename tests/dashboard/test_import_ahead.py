"""What pages need is imported while the first one is read."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard import pages


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple]]:
    started: list[tuple] = []

    class Now:
        daemon = False

        def __init__(self, pause, imports) -> None:
            self.asked = (pause, imports)

        def start(self) -> None:
            assert self.daemon, "the server can end at any time"
            started.append(self.asked)

    monkeypatch.setattr(pages, "Timer", Now)
    pages.import_ahead.cache_clear()
    yield started
    pages.import_ahead.cache_clear()


def test_a_server_imports_ahead_once_and_after_a_pause(timers: list[tuple]) -> None:
    for _ in range(3):
        pages.import_ahead()
    ((pause, imports),) = timers
    assert pause >= 1
    imports()
    assert {f"dashboard.views.{entry.name}" for entry in pages.PAGES} <= set(sys.modules)
    assert "sklearn.ensemble" in sys.modules


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

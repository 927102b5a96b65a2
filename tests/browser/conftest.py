"""A real Chromium in front of the real ``streamlit run dashboard/app.py``."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sample_server  # of benchmarks/
import sample_store
import sample_window
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

PATIENCE = sample_server.PATIENCE

expect.set_options(timeout=1000 * PATIENCE / 2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in this folder drives a browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is. Without one the tests are skipped, except in CI, where they fail."""
    found = sample_server.chromium()
    if found is None and os.environ.get("CI"):
        pytest.fail("no Chromium on the PATH; CI skips no browser test")
    return found or pytest.skip("no Chromium on the PATH (set AVOCADO_CHROMIUM)")


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """One browser for all tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=sample_server.FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def full_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several studies with everything a page can show, pictures included."""
    return sample_store.build(tmp_path_factory.mktemp("browser") / "store.db")


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """Starts the dashboard on a store and returns its address; ended with the session."""
    with ExitStack() as servers:
        yield lambda store: servers.enter_context(sample_server.served(store))[0]


@pytest.fixture(scope="session")
def dashboard(serve: Callable[[Path], str], full_store: Path) -> str:
    """Address of the dashboard on the full store."""
    return serve(full_store)


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One browser for every test: what it has loaded once it keeps, as a reader's does."""
    context = browser.new_context()
    context.set_default_timeout(1000 * PATIENCE)
    yield context
    context.close()


@pytest.fixture
def visit(context: BrowserContext, dashboard: str) -> Iterator[Callable[..., Page]]:
    """Opens a page of the dashboard in a window of its own and waits until it is calm."""

    def open_page(path: str = "", *, width: int = 1440, height: int = 900) -> Page:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.goto(f"{dashboard}/{path}")
        sample_window.settle(page)
        return page

    yield open_page
    for page in context.pages:
        page.close()


@pytest.fixture
def ask(full_store: Path) -> Callable[..., list[tuple]]:
    """Asks the full store in SQL."""

    def answer(sql: str, *values: object) -> list[tuple]:
        with sqlite3.connect(f"file:{full_store}?mode=ro", uri=True) as connection:
            return connection.execute(sql, values).fetchall()

    return answer

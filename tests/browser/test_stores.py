"""Every page on a store that is full, empty, half written, or of another program."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sample_server
import sample_store
from playwright.sync_api import BrowserContext, Page, expect
from sample_window import headline, settle

from backend.store.writer import RunStore


@pytest.fixture(scope="module")
def half_written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One study whose first run has one fold of three."""
    folder = tmp_path_factory.mktemp("half")
    fruit = sample_store.avocados(folder / "fruit", 30, 0)
    with RunStore(folder / "half.db") as store:
        build = sample_store.Builder(store, sample_store.Plan())
        store.add_dataset(fruit, [])
        study = build.study("s", "tonight", fruit)
        build.run(study, fruit, sample_store.config("", 0, "baseline"), folds=1, finish=False)
    return folder / "half.db"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without a study."""
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    RunStore(path).close()
    return path


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of another program."""
    path = tmp_path_factory.mktemp("foreign") / "cats.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE cats (name)")
    return path


@pytest.fixture
def window(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    yield page
    page.close()


def walked(page: Page, address: str) -> Iterator[tuple[str, Page]]:
    """Every page one after the other; none shows a traceback, and the browser reports no error."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    settle(page)
    for place, view in enumerate(sample_server.VIEWS):
        link = page.locator("[data-testid=stSidebarNav] a").nth(place)
        link.click()
        expect(link).to_have_attribute("aria-current", "page")
        settle(page)
        assert place == 0 or page.url.split("?")[0].endswith(f"/{view}")
        expect(page.locator("[data-testid=stException]")).to_have_count(0)
        assert headline(page), view
        yield view, page
    assert not errors


def test_every_page_of_a_full_store(window: Page, dashboard: str) -> None:
    said = set()
    for view, page in walked(window, dashboard):
        if view != "report":
            expect(page.locator(".marks, [data-testid=stDataFrame]").first).to_be_attached()
        said.add(headline(page))
    assert len(said) == len(sample_server.VIEWS), "every page has an answer of its own"


def test_every_page_of_an_empty_store_says_how_to_fill_it(window: Page, serve, empty: Path) -> None:
    for view, page in walked(window, serve(empty)):
        expect(page.locator("h1")).to_have_text("No study yet")
        assert str(empty) in page.locator("[data-testid=stCode]").first.inner_text(), view


def test_every_page_of_a_half_written_store(window: Page, serve, half_written: Path) -> None:
    said = {view: headline(page) for view, page in walked(window, serve(half_written))}
    assert said["overview"] == said["defects"] == "No finished result yet"
    assert said["runs"].startswith("1 run (final results): 1 running")


def test_a_foreign_file_is_named_on_every_page(window: Page, serve, foreign: Path) -> None:
    for _, page in walked(window, serve(foreign)):
        expect(page.locator("[data-testid=stAlert]")).to_contain_text("cats.db")

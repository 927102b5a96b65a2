"""Every page on a store that is full, empty, half written, or of another program."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sample_store
from playwright.sync_api import Browser, Page, expect

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
def window(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.set_default_timeout(60_000)
    yield page
    page.close()


def walked(page: Page, address: str, views: tuple[str, ...], settle) -> Iterator[tuple[str, Page]]:
    """Every page one after the other; none shows a traceback, and the browser reports no error."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for view in views:
        page.goto(f"{address}/{view}")
        settle(page)
        expect(page.locator("[data-testid=stException]")).to_have_count(0)
        assert page.locator("[data-testid=stMain] h1").first.inner_text().strip(), view
        yield view, page
    assert not errors


def test_every_page_of_a_full_store(
    window: Page, dashboard: str, views: tuple[str, ...], settle: Callable[[Page], None]
) -> None:
    for view, page in walked(window, dashboard, views, settle):
        if view != "report":
            expect(page.locator("svg.marks, [data-testid=stDataFrame]").first).to_be_attached()


def test_every_page_of_an_empty_store_says_how_to_fill_it(
    window: Page, serve, empty: Path, views: tuple[str, ...], settle: Callable[[Page], None]
) -> None:
    for view, page in walked(window, serve(empty), views, settle):
        expect(page.locator("h1")).to_have_text("No study yet")
        assert str(empty) in page.locator("[data-testid=stCode]").first.inner_text(), view


def test_every_page_of_a_half_written_store(
    window: Page, serve, half_written: Path, views: tuple[str, ...], settle: Callable[[Page], None]
) -> None:
    said = {
        view: page.locator("h1").first.inner_text()
        for view, page in walked(window, serve(half_written), views, settle)
    }
    assert said["overview"] == said["defects"] == "No finished result yet"
    assert said["runs"].startswith("1 run: 1 running")


def test_a_foreign_file_is_named_on_the_page(window: Page, serve, foreign: Path, settle) -> None:
    for _, page in walked(window, serve(foreign), ("overview", "runs"), settle):
        expect(page.locator("[data-testid=stAlert]")).to_contain_text("cats.db")

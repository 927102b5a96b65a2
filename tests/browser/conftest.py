"""A real Chromium in front of the real ``streamlit run dashboard/app.py``."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))  # at the end: it holds a dashboard.py of its own

import sample_store  # noqa: E402 - lies in benchmarks/, which uses it too

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 60.0
"""Seconds that a start may take on a busy machine."""

expect.set_options(timeout=1000 * PATIENCE / 2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in this folder drives a browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is. Without one the tests are skipped, except in CI, where they fail."""
    for name in (os.environ.get("AVOCADO_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        found = name and shutil.which(name)
        if found:
            return found
    if os.environ.get("CI"):
        pytest.fail("no Chromium on the PATH; CI skips no browser test")
    pytest.skip("no Chromium on the PATH (set AVOCADO_CHROMIUM)")


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """One browser for all tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def full_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several studies with everything a page can show, pictures included."""
    return sample_store.build(tmp_path_factory.mktemp("browser") / "store.db")


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], str]]:
    """Starts the dashboard on a store and returns its address; ended with the session."""
    started: list[subprocess.Popen[bytes]] = []
    log = tmp_path_factory.mktemp("server") / "log"

    def start(store: Path) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py", "--server.headless", "true"]
        command += ["--server.port", str(port), "--server.address", "127.0.0.1", "--", "--store", str(store)]
        with log.open("ab") as output:
            started.append(subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output))
        address = f"http://127.0.0.1:{port}"
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                    return address
            except OSError:
                time.sleep(0.1)
        pytest.fail(f"the dashboard did not start:\n{log.read_text()}")

    yield start
    for server in started:
        server.terminate()
    for server in started:
        server.wait(10)


@pytest.fixture(scope="session")
def dashboard(serve: Callable[[Path], str], full_store: Path) -> str:
    """Address of the dashboard on the full store."""
    return serve(full_store)


@pytest.fixture
def visit(browser: Browser, dashboard: str) -> Iterator[Callable[..., Page]]:
    """Opens a page of the dashboard in a window of its own and waits until it is drawn."""
    contexts = []

    def open_page(path: str = "", *, width: int = 1440, height: int = 900, scheme: str = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"{dashboard}/{path}")
        settle(page)
        return page

    yield open_page
    for context in contexts:
        context.close()


def settle(page: Page) -> None:
    """Wait until nothing runs, nothing is a skeleton, and every chart is drawn."""
    page.locator("[data-testid=stMain] h1").first.wait_for()
    calm = """() => {
        const all = (name) => document.querySelectorAll(name).length;
        const busy = all('[data-testid=stStatusWidget]') + all('[data-testid=stSkeleton]');
        const charts = all('[data-testid=stVegaLiteChart]');
        return busy === 0 && all('[data-testid=stVegaLiteChart] svg.marks') === charts;
    }"""
    page.wait_for_timeout(250)
    page.wait_for_function(calm)


@pytest.fixture(name="settle")
def settle_fixture() -> Callable[[Page], None]:
    """``settle`` for tests that act on a page."""
    return settle

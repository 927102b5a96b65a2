"""What visitors of the dashboard do in Chromium, timed from the action to the frame that shows its result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial

from playwright.sync_api import Browser, Page
from sample_server import VIEWS
from sample_sessions import reading
from sample_window import CALM, settle

Times = dict[str, list[float]]

DEFECTS = ("body rot", "sunburn", "wind scar", "bruising", "insect damage")
HEADLINE = "(document.querySelector('[data-testid=stMain] h1')?.innerText ?? '')"
DRAWN = f"({CALM})()"
CELLS = "[...document.querySelectorAll('svg.marks text')].map(x => x.textContent).join()"
CARDS = "document.querySelectorAll('.card img, .card .row').length > 0"
WIDE = {"width": 1440, "height": 900}


def timed(page: Page, action: Callable[[], object], shown: str) -> float:
    """Seconds from an action until the expression ``shown`` holds in a frame of the browser."""
    start = time.perf_counter()
    action()
    page.wait_for_function(f"() => {shown}", polling="raf", timeout=60_000)
    return time.perf_counter() - start


def opened(browser: Browser, address: str) -> tuple[Page, float, float]:
    """The overview in a new session, and the seconds until its answer and until its figures are there."""
    page = browser.new_context(viewport=WIDE).new_page()  # type: ignore[arg-type]
    start = time.perf_counter()
    first = timed(page, lambda: page.goto(address, wait_until="commit"), f"{HEADLINE} !== ''")
    page.wait_for_function(
        f"() => document.querySelectorAll('svg.marks').length > 0 && {DRAWN}", polling="raf", timeout=60_000
    )
    return page, first, time.perf_counter() - start


def walk(page: Page, times: Times) -> None:
    """Turn to every page by the navigation: seconds until its answer, and until all of it is drawn."""
    for view in (*VIEWS[1:], "defects"):
        here = f"location.pathname.endsWith({json.dumps('/' + view)})"
        before = page.evaluate(HEADLINE)
        start = time.perf_counter()
        link = page.locator(f"[data-testid=stSidebarNav] a[href$='/{view}']")
        answered = timed(
            page, link.click, f"{here} && {HEADLINE} !== '' && {HEADLINE} !== {json.dumps(before)}"
        )
        page.wait_for_function(f"() => {DRAWN}", polling="raf", timeout=60_000)
        times.setdefault(f"to {view}", []).append(answered)
        times.setdefault(f"all of {view}", []).append(time.perf_counter() - start)


def explore(page: Page, times: Times) -> None:
    """On Defects: filter, move the slider, click a cell, export the figure."""
    for defect in DEFECTS:
        pick = choose(page, "Defect", defect)
        times.setdefault("filter", []).append(
            timed(page, pick, f"{HEADLINE}.includes({json.dumps(defect)}) && {DRAWN}")
        )
    slider = page.get_by_role("slider", name="Call a fruit defective")
    slider.focus()
    for key in ("PageUp", "PageUp", "PageUp", "PageDown", "PageDown", "PageDown", "PageDown", "PageUp"):
        page.wait_for_timeout(300)
        moved = f"{CELLS} !== {json.dumps(page.evaluate(CELLS))}"
        times.setdefault("slider", []).append(timed(page, partial(slider.press, key), moved))
    page.wait_for_timeout(300)
    box = page.locator("[data-testid=stVegaLiteChart]").first.bounding_box()
    assert box is not None, "a chart that is drawn has a place"
    at = (box["x"] + 0.4 * box["width"], box["y"] + 0.75 * box["height"])
    times.setdefault("cell click", []).append(timed(page, lambda: page.mouse.click(*at), CARDS))
    times.setdefault("export PNG", []).append(fetch(page, "PNG picture"))


def search(page: Page, times: Times) -> None:
    """On Runs: two searches among all runs of the study, until sentence and table are of what was found."""
    page.locator("[data-testid=stSidebarNav] a[href$='/runs']").click()
    settle(page)
    choose(page, "Purpose", "all purposes")()
    times.setdefault("search", []).extend(_searches(page))


def bare_search(browser: Browser, address: str, times: Times) -> None:
    """The same searches on a page that does nothing but say what was asked for: what Streamlit takes."""
    page = browser.new_context(viewport=WIDE).new_page()  # type: ignore[arg-type]
    page.goto(address)
    times.setdefault("search, a bare page", []).extend(_searches(page))
    page.context.close()


def _searches(page: Page) -> Iterator[float]:
    box = page.get_by_role("textbox", name="Search")
    for wanted in ("barlow", "rotnet"):
        settle(page)
        box.fill(wanted)
        found = f"{HEADLINE} !== {json.dumps(page.evaluate(HEADLINE))} && {DRAWN}"
        yield timed(page, partial(box.press, "Enter"), found)


def fetch(page: Page, name: str) -> float:
    """Seconds until a file of the first export menu is there."""
    page.get_by_role("button", name="Export").first.click()
    start = time.perf_counter()
    with page.expect_download():
        page.get_by_role("button", name=name).click()
    took = time.perf_counter() - start
    page.keyboard.press("Escape")
    return took


def pack(page: Page) -> float:
    """Seconds until the review pack that nobody collected is there as a web page."""
    page.locator("[data-testid=stSidebarNav] a[href$='/report']").click()
    button = page.get_by_role("button", name="Web page")
    button.wait_for()
    start = time.perf_counter()
    with page.expect_download(timeout=120_000):
        button.click()
    return time.perf_counter() - start


def choose(page: Page, label: str, option: str) -> Callable[[], None]:
    """Open a select box; what is returned clicks the option."""
    page.get_by_role("combobox", name=label).first.click()
    entry = page.get_by_role("option", name=option, exact=True)
    entry.wait_for()
    return entry.click


def crowd(browser: Browser, address: str, visitors: int, repeats: int) -> list[float]:
    """Seconds until a visitor has the answer of the overview while so many other sessions are open.

    The others come from computers of their own (``sample_sessions``): their windows cost this one nothing.
    """
    with reading(address, visitors) as sessions:
        times = []
        for _ in range(repeats):
            page, first, _ = opened(browser, address)
            page.context.close()
            times.append(first)
        assert all(session.answers > 1 for session in sessions), "sessions keep their page up to date"
        return times

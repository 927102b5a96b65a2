"""What a person does in a window of the dashboard: wait until it is calm, read the answer, choose, press.

Every action waits for a calm page first. Streamlit draws a page again after each one, and what a test does in
the middle of that may meet a list that closes or a chart that is replaced.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from playwright.sync_api import Locator, Page

CALM = """() => {
    const all = (name) => document.querySelectorAll(name).length;
    const charts = all('[data-testid=stVegaLiteChart]');
    // More than 2,000 points are drawn on a canvas.
    const drawn = all('[data-testid=stVegaLiteChart] :is(svg, canvas).marks');
    return document.querySelector('.stApp')?.dataset.testScriptState === 'notRunning'
        && all('[data-testid=stSkeleton]') === 0 && drawn === charts;
}"""
"""Whether the server draws nothing, nothing is a skeleton, and every chart is drawn."""

STEADY = f"""start => {{
    const size = ({CALM})() ? document.querySelectorAll('[data-testid=stMain] *').length : -1;
    const now = performance.now();
    const last = window.steady ?? {{}};
    if (last.start !== start || last.size !== size || size < 0) {{
        window.steady = {{start, size, since: now, looks: 0}};
        return false;
    }}
    last.looks += 1;
    return last.looks >= 4 && now - last.since >= 250;
}}"""
"""Whether the page has been calm and of one size for a while: sliders and charts report late."""


def settle(page: Page) -> None:
    """Wait until the page has its headline, and stays calm for a moment."""
    page.locator("[data-testid=stMain] h1").first.wait_for()
    page.wait_for_function(STEADY, arg=time.monotonic(), polling=50)


def until(page: Page, holds: Callable[[], bool], patience: float = 30.0) -> None:
    """Wait for what an action leaves behind. A calm page alone may not have heard of the action yet.

    Args:
        page: the window.
        holds: whether it is there.
        patience: seconds until it has to be.
    """
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, "the action left nothing behind"
        page.wait_for_timeout(100)


def headline(page: Page) -> str:
    """The answer of the page as people read it."""
    return page.locator("h1").first.inner_text().replace("\N{NO-BREAK SPACE}", " ").strip()


def press(page: Page, target: Locator) -> None:
    """Click something on a calm page."""
    settle(page)
    target.click()


def choose(page: Page, label: str, option: str) -> None:
    """Open a select box on a calm page and click an option."""
    settle(page)
    box = page.get_by_role("combobox", name=label, exact=True).first
    box.scroll_into_view_if_needed()  # scrolling afterwards would close the list again
    box.click()
    page.get_by_role("option", name=option, exact=True).click()

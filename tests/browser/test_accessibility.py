"""Every page in both modes for axe, and on a telephone; every state that has parts of its own as well."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
import sample_server
import sample_window
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

STATES = (
    "defects?cell=bruising%3A+missed",
    "defects?view=Cost",
    "defects?dataset=strawberry-crops",
    "inputs?study=All+studies",
    "space?fruit=avo-00012",
    f"gradcam?explained-against={quote('baseline · resnet18 · rgb+nir')}",
)
NOTES = "runs?detail=Notes&inspect={run}"
GROUND = {"light": "rgb(255, 255, 255)", "dark": "rgb(16, 22, 26)"}

Visit = Callable[..., Page]


def address(path: str, ask) -> str:
    """The path with the id of a run in it, where one is asked for."""
    return path.format(run=ask("SELECT run_id FROM run WHERE name LIKE 'barlow_twins%' LIMIT 1")[0][0])


def serious(page: Page) -> list[str]:
    """What axe finds wrong on a page."""
    # Listing what is right as well would take three times as long.
    options = {"runOnly": ["wcag2a", "wcag2aa"], "resultTypes": ["violations"]}
    return [
        f"{rule['id']}: {node['target']} {node.get('failureSummary', '')}"
        for rule in Axe().run(page, options=options).response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("path", [*sample_server.VIEWS, *STATES, NOTES])
def test_axe_finds_nothing_serious(visit: Visit, ask, path: str) -> None:
    page = visit(address(path, ask))
    ground = "x => getComputedStyle(x).backgroundColor"
    for scheme in ("light", "dark"):
        if scheme == "dark":
            page.emulate_media(color_scheme="dark")
            page.reload()
            sample_window.settle(page)
        expect(page.locator("[data-testid=stException]")).to_have_count(0)
        assert page.locator(".stApp").evaluate(ground) == GROUND[scheme]
        papers = page.locator("svg.marks").evaluate_all(f"all => all.map({ground})")
        assert set(papers) <= {GROUND[scheme]}
        assert papers or not page.locator("[data-testid=stVegaLiteChart] svg").count()
        assert not serious(page), scheme


@pytest.mark.parametrize("path", [*sample_server.VIEWS, *STATES, NOTES])
def test_a_telephone_never_scrolls_sideways(visit: Visit, ask, path: str) -> None:
    page = visit(address(path, ask), width=390, height=844)
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("x => x.scrollWidth") <= main.evaluate("x => x.clientWidth")
    beyond = "all => all.filter(x => x.getBoundingClientRect().right > innerWidth + 1).length"
    assert page.locator("[data-testid=stVegaLiteChart] svg").evaluate_all(beyond) == 0

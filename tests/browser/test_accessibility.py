"""Every page in both modes for axe, and on a telephone; every state that has parts of its own as well."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
import sample_server
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
BOX = (".box_brush", ".box_brush_bg")
"""The frame of the box over the feature space: Vega has no way to name it or to hide it."""
GROUND = {"light": "rgb(255, 255, 255)", "dark": "rgb(16, 22, 26)"}
PAPER = {"light": "#ffffff", "dark": "#10161a"}

Visit = Callable[..., Page]


def address(path: str, ask) -> str:
    """The path with the id of a run in it, where one is asked for."""
    return path.format(run=ask("SELECT run_id FROM run WHERE name LIKE 'barlow_twins%' LIMIT 1")[0][0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", [*sample_server.VIEWS, *STATES, NOTES])
def test_axe_finds_nothing_serious(visit: Visit, ask, path: str, scheme: str) -> None:
    page = visit(address(path, ask), scheme=scheme)
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
    ground = page.evaluate("() => getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    assert ground == GROUND[scheme]
    fills = "all => all.map(x => x.getAttribute('fill').toLowerCase())"
    assert set(page.locator("svg.marks > rect.background").evaluate_all(fills)) <= {PAPER[scheme]}
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]})
    serious = [
        f"{rule['id']}: {node['target']} {node.get('failureSummary', '')}"
        for rule in found.response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
        if not (rule["id"] == "svg-img-alt" and str(node["target"][-1]) in BOX)
    ]
    assert not serious, "\n".join(serious)


@pytest.mark.parametrize("path", [*sample_server.VIEWS, *STATES, NOTES])
def test_a_telephone_never_scrolls_sideways(visit: Visit, ask, path: str) -> None:
    page = visit(address(path, ask), width=390, height=844)
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("x => x.scrollWidth") <= main.evaluate("x => x.clientWidth")
    beyond = "all => all.filter(x => x.getBoundingClientRect().right > innerWidth + 1).length"
    assert page.locator("[data-testid=stVegaLiteChart] svg").evaluate_all(beyond) == 0

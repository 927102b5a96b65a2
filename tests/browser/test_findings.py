"""Where it looks, feature space, tuning, data, report and compared runs in a real browser."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Page, expect
from pptx import Presentation
from sample_window import choose, headline, press, settle, until

from backend.store.annotations import Annotations, Note
from dashboard.pictures import sheet

FINAL = "study_id = 'study-overnight' AND purpose = 'final'"
BARLOW = (
    f"(SELECT run_id FROM run WHERE {FINAL} AND kind = 'finetune' AND method = 'barlow_twins' AND seed = 0)"
)
BASELINE = "baseline · resnet18 · rgb+nir"

Visit = Callable[..., Page]


@pytest.fixture
def basket(full_store: Path) -> Annotations:
    """The empty basket of the store that the browser sees."""
    found = Annotations(full_store)
    found.path.unlink(missing_ok=True)
    return found


def test_the_heat_follows_its_strength_and_its_run(visit: Visit, ask) -> None:
    page = visit("gradcam?defect=bruising")
    first = page.locator(".card img").first
    before = first.get_attribute("src")
    slider = page.get_by_role("slider", name="Strength of the heat map")
    slider.scroll_into_view_if_needed()
    slider.focus()
    for _ in range(7):
        slider.press("ArrowLeft")
    page.wait_for_function(
        "old => document.querySelector('.card img').getAttribute('src') !== old", arg=before
    )
    expect(page).to_have_url(re.compile("heat-opacity=0"))
    press(page, page.get_by_role("button", name="missed"))
    missed = ask(
        "SELECT COUNT(DISTINCT fruit_id) FROM attribution WHERE defect = 'bruising' "
        f"AND scores ->> '$.outcome' = 'fn' AND run_id = {BARLOW}",
    )[0][0]
    expect(page.get_by_text(f"{missed} cases, ")).to_be_visible()
    choose(page, "Compare with", BASELINE)
    expect(page.locator(".cards.wide .card").first).to_contain_text("barlow_twins")


def test_a_box_shows_the_fruit_in_it_and_their_own_pictures(visit: Visit, ask) -> None:
    page = visit("space?projection=PCA")
    box = page.locator("[data-testid=stVegaLiteChart] canvas.marks").first.bounding_box()
    assert box is not None
    x, y = box["x"] + 0.55 * box["width"], box["y"] + 0.6 * box["height"]
    page.mouse.move(x - 70, y - 60)
    page.mouse.down()
    page.mouse.move(x, y, steps=4)
    page.mouse.move(x + 70, y + 60, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile("box="))
    chosen = parse_qs(urlparse(page.url).query)["box"][0]
    projection, ends = chosen.split(":")
    left, right, low, high = (float(end) for end in ends.split(","))
    inside = ask(
        f"SELECT fruit_id FROM embedding WHERE run_id = {BARLOW} AND projection = ? AND x BETWEEN ? AND ? "
        "AND y BETWEEN ? AND ?",
        *(projection, *sorted((left, right)), *sorted((low, high))),
    )
    expect(page.get_by_text(f"{len(inside)} fruit in the box")).to_be_visible()
    assert inside, "the box was drawn where there are points"
    cards = page.locator(".card")
    expect(cards).to_have_count(min(6, len(inside)))
    for i in range(cards.count()):
        name = cards.nth(i).locator("h3").inner_text()
        assert (name,) in inside
        assert cards.nth(i).locator("img").get_attribute("src") == picture(ask, name)
    again = page.context.new_page()
    again.goto(page.url)
    expect(again.get_by_text(f"{len(inside)} fruit in the box")).to_be_visible()


def picture(ask, fruit_id: str) -> str:
    """What the card of a fruit must show."""
    root, spec = ask("SELECT root, spec FROM dataset WHERE name = 'synthetic-hass'")[0]
    images = json.loads(ask("SELECT images FROM fruit WHERE fruit_id = ?", fruit_id)[0][0])
    sensors = json.loads(spec)["modalities"]
    views = tuple(
        tuple(images.get(sensor, {}).get(view, "") for view in names) for sensor, names in sensors.items()
    )
    return "data:image/webp;base64," + base64.b64encode(sheet(root, views)).decode()


def test_a_fruit_that_is_searched_for_shows_its_neighbours(visit: Visit, ask) -> None:
    page = visit("space")
    page.get_by_label("Find a fruit").fill("avo-00100")
    page.keyboard.press("Enter")
    nearest = ask(f"SELECT neighbour_id FROM neighbour WHERE run_id = {BARLOW} AND fruit_id = 'avo-00100' "
        "ORDER BY rank LIMIT 1",
    )[0][0]  # fmt: skip
    expect(page.locator(".card h3").first).to_have_text("avo-00100")
    expect(page.locator(".card h3").nth(1)).to_have_text(nearest)
    assert "avo-00100" in legend(page)


def legend(page: Page) -> str:
    """Every word in the picture of the feature space: on screen it is a canvas, so its file has them."""
    press(page, page.get_by_role("button", name="Export").first)
    drawing = fetched(page, "SVG drawing").decode()
    page.keyboard.press("Escape")
    return drawing


def test_the_colour_changes_the_legend(visit: Visit) -> None:
    page = visit("space")
    before = drawn(page)
    assert before
    assert "stem end rot" in legend(page)
    choose(page, "Colour", "Decision")
    until(page, lambda: drawn(page) not in ("", before))
    expect(page).to_have_url(re.compile("colour=Decision"))
    assert "false alarm" in legend(page)


def drawn(page: Page) -> str:
    """The picture of the feature space as it is now; empty while there is none."""
    return str(page.evaluate("document.querySelector('canvas.marks')?.toDataURL() ?? ''"))


def test_a_kind_of_finding_opens_its_fruit(visit: Visit, ask) -> None:
    page = visit("data")
    n = ask(
        "SELECT COUNT(*) FROM finding JOIN dataset USING (dataset_id) "
        "WHERE kind = 'outlier' AND name = 'synthetic-hass'",
    )[0][0]
    page.get_by_role("radio", name=f"Odd ones ({n})").click()
    expect(page.locator(".card")).to_have_count(n)
    expect(page.locator(".card .note").first).to_contain_text("times as far from its neighbours")


def add(page: Page, place: int = 0) -> None:
    """Put a figure of a page into the report."""
    press(page, page.get_by_role("button", name="Export").nth(place))
    page.get_by_role("button", name="Add to report").click()
    expect(page.get_by_text("Added. The report holds")).to_be_visible()


def fetched(page: Page, name: str) -> bytes:
    with page.expect_download(timeout=60_000) as waiting:
        page.get_by_role("button", name=name).click()
    return Path(waiting.value.path()).read_bytes()


def test_a_report_is_collected_put_in_order_and_fetched(visit: Visit, ask, basket: Annotations) -> None:
    page = visit()
    said = headline(page)
    add(page)
    page = visit("tuning")
    add(page)
    page = visit("report")
    expect(page.locator("h1")).to_contain_text("holds 2 figures")
    press(page, page.get_by_role("button", name="Down").first)
    expect(page.get_by_text("1. Trial after trial: baseline")).to_be_visible()
    settle(page)
    caption = page.get_by_label("Caption").first
    caption.fill("What the search found.")
    caption.press("Control+Enter")
    until(page, lambda: [item.caption for item in basket.basket()] == ["What the search found.", ""])
    settle(page)
    text = fetched(page, "Web page").decode()
    run_id = ask(f"SELECT {BARLOW}")[0][0]
    assert text.index("What the search found.") < text.index(said.split(" (")[0])
    assert run_id in text
    assert not re.search(r"(?:src|href)=['\"]?https?:", text)
    slides = Presentation(io.BytesIO(fetched(page, "Slides"))).slides
    assert [slide.shapes.title.text for slide in slides][1] == "What the search found." and len(slides) == 3
    with zipfile.ZipFile(io.BytesIO(fetched(page, "All files (ZIP)"))) as archive:
        names = archive.namelist()
        assert len(names) == 9 and "figures/01-search-history.csv" in names
        assert archive.read("figures/02-defect-by-defect-recall.png").startswith(b"\x89PNG")


def test_the_pack_prints_a_figure_a_sheet_and_asks_for_nothing(
    visit: Visit, browser, basket: Annotations, tmp_path: Path
) -> None:
    assert basket.basket_size() == 0
    data = fetched(visit("report"), "Web page")
    (tmp_path / "pack.html").write_bytes(data)
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "pack.html").as_uri())
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    figures = page.locator("section img")
    assert figures.count() >= 5
    assert figures.evaluate_all("all => all.every(x => x.complete && x.naturalWidth > 100)")
    sheets = page.pdf(format="A4", landscape=True).count(b"/Type /Page\n")
    assert figures.count() + 1 <= sheets <= 2 * figures.count() + 1
    context.close()


def test_two_selected_rows_are_compared(visit: Visit) -> None:
    page = visit("runs")
    box = page.locator("[data-testid=stDataFrame]").first.bounding_box()
    assert box is not None
    for row in (0, 1):
        settle(page)
        page.mouse.click(box["x"] + 17, box["y"] + 52 + 35 * row)
    expect(page.get_by_role("heading", name="Runs side by side")).to_be_visible()
    expect(page).to_have_url(re.compile("compare="))
    expect(page.get_by_text("2 runs differ in")).to_be_visible()


def test_a_star_and_a_tag_are_kept(visit: Visit, ask, basket: Annotations) -> None:
    run_id = ask(f"SELECT {BARLOW}")[0][0]
    page = visit(f"runs?inspect={run_id}&detail=Notes")
    page.get_by_text("Starred", exact=True).click()
    expect(page.get_by_role("button", name="Starred")).to_be_visible()  # among the filters: it is written
    settle(page)
    tags = page.get_by_role("combobox", name="Tags")
    tags.press_sequentially("to ship", delay=40)
    page.get_by_role("option", name="Add: to ship").wait_for()
    settle(page)
    expect(tags).to_have_value("to ship")
    tags.press("Enter")
    tags.press("Escape")  # closes the list
    expect(page.get_by_role("button", name="to ship", exact=True)).to_be_visible()
    assert basket.note(run_id) == Note("", True, ("to ship",))
    other = visit("runs?tag=to+ship")
    expect(other.locator("[data-testid=stDataFrame]").first).to_be_visible()
    basket.path.unlink()

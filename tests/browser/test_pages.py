"""The pages in a real browser: they open, filter, remember, export, and open the fruit behind a number."""

from __future__ import annotations

import io
import re
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from PIL import Image
from playwright.sync_api import Page, expect
from sample_window import choose, headline, press, settle, until

from backend.store.writer import RunStore

PAGES = ("", "defects", "runs")
BARLOW = "barlow_twins · rgb+nir (seed 0)"
RUN = (
    "(SELECT run_id FROM run WHERE study_id = 'study-overnight' AND purpose = 'final' AND kind = 'finetune' "
    "AND method = 'barlow_twins' AND seed = 0)"
)

Visit = Callable[..., Page]


def test_a_defect_changes_the_headline_to_what_sql_says(visit: Visit, ask) -> None:
    page = visit()
    choose(page, "Defect", "body rot")
    expect(page.locator("h1")).to_contain_text("body rot")
    delta = ask(
        "SELECT delta FROM comparison JOIN run ON run_id = run_id_b"
        " WHERE family LIKE 'pretraining%' AND comparison.metric = 'mcc'"
        " AND defect = 'body-rot' AND seed = 0",
    )[0][0]
    assert f"raises the agreement with the labels on body rot by {delta:.2f}" in headline(page)
    settle(page)
    assert "defect=body+rot" in page.url or "defect=body%20rot" in page.url


def test_the_opening_page_has_an_address_of_its_own_too(visit: Visit) -> None:
    """Every other page is at its name, so this one is looked for there."""
    first = headline(visit())
    page = visit("overview?defect=body+rot")
    assert headline(page) != first
    assert "body rot" in headline(page)
    expect(page.get_by_role("dialog")).to_have_count(0)
    links = page.get_by_test_id("stSidebarNav").get_by_role("link", name="Overview")
    expect(links).to_have_count(1)


def test_the_slider_recomputes_from_predictions(visit: Visit, ask) -> None:
    page = visit(f"defects?defect=sunburn&run={quote(BARLOW)}")
    slider = page.get_by_role("slider", name="Call a fruit defective")
    slider.focus()
    for _ in range(10):
        slider.press("ArrowLeft")
    tp, fn = ask(
        f"SELECT SUM(score >= 0.4), SUM(score < 0.4) FROM prediction WHERE run_id = {RUN}"
        " AND defect = 'sunburn' AND y_true = 1",
    )[0]
    expect(page.locator("h1")).to_contain_text(f"finds {100 * tp / (tp + fn):.0f} of 100 fruit with sunburn")
    expect(page.locator("svg.marks").first).to_contain_text(str(tp))
    assert "threshold=0.4" in page.url


def download(page: Page, name: str) -> bytes:
    """The bytes of one entry of the first export menu."""
    press(page, page.get_by_role("button", name="Export").first)
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name).click()
    data = Path(waiting.value.path()).read_bytes()
    page.keyboard.press("Escape")
    return data


def test_a_figure_exports_in_every_format(visit: Visit, ask) -> None:
    page = visit(f"defects?run={quote(BARLOW)}")
    table = pd.read_csv(io.BytesIO(download(page, "CSV table"))).set_index("defect")
    rows = ask(
        f"SELECT defect, tp, fp, fn, tn FROM defect_confusion WHERE run_id = {RUN} AND fold IS NULL",
    )
    assert len(rows) == 10
    for defect, *counts in rows:
        assert table.loc[defect, ["tp", "fp", "fn", "tn"]].tolist() == counts
    picture = Image.open(io.BytesIO(download(page, "PNG picture")))
    assert picture.width > 1600 and picture.height > 1000
    drawing = download(page, "SVG drawing").decode()
    run_id = ask(f"SELECT {RUN}")[0][0]
    assert "Decisions" in drawing and "stem end rot" in drawing and run_id in drawing
    assert download(page, "PDF page").startswith(b"%PDF")


def test_the_headline_figure_exports_its_sentence(visit: Visit) -> None:
    page = visit()
    drawing = download(page, "SVG drawing").decode()
    assert "Barlow Twins against baseline" in drawing
    assert headline(page).split(" (")[0] in drawing.replace("\N{NO-BREAK SPACE}", " ")


def test_a_pasted_link_restores_the_view(visit: Visit) -> None:
    page = visit("defects")
    choose(page, "Defect", "External defects")
    choose(page, "Run", "baseline · resnet18 · rgb+nir (seed 1)")
    press(page, page.get_by_role("radio", name="Of each truth"))
    press(page, page.get_by_role("radio", name="My threshold"))
    expect(page).to_have_url(re.compile("decision="))
    other = visit(page.url.split("/", 3)[3])
    said = headline(other)
    until(page, lambda: headline(page) == said)
    assert "external defects" in said
    expect(other.get_by_role("radio", name="Of each truth")).to_be_checked()
    expect(other.get_by_role("combobox", name="Run").first).to_have_value(re.compile("seed 1"))


def test_what_nobody_chose_is_the_same_on_every_page(visit: Visit) -> None:
    page = visit()
    for name in ("Defects", "Runs", "Overview", "Defects"):
        page.get_by_role("link", name=name).click()
        expect(page.get_by_role("link", name=name)).to_have_attribute("aria-current", "page")
        settle(page)
        expect(page.get_by_role("combobox", name="Study")).to_have_value(re.compile("overnight"))
        expect(page.get_by_role("combobox", name="Defect")).to_have_value("All defects")
    expect(page.get_by_role("radio", name="As trained")).to_be_checked()
    expect(page.locator("[data-testid=stVegaLiteChart]")).to_have_count(10)


def test_filters_hold_from_page_to_page(visit: Visit) -> None:
    page = visit()
    choose(page, "Defect", "wind scar")
    expect(page.locator("h1")).to_contain_text("wind scar")
    press(page, page.get_by_role("link", name="Defects"))
    expect(page.locator("h1")).to_contain_text("fruit with wind scar")
    settle(page)
    expect(page.locator("[data-testid=stVegaLiteChart]")).to_have_count(1)


def click_cell(page: Page, chart: int, x: float, y: float) -> None:
    """Click into a matrix at a share of its width and height."""
    settle(page)
    box = page.locator("[data-testid=stVegaLiteChart]").nth(chart).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def test_a_click_on_a_cell_shows_its_fruit(visit: Visit, ask) -> None:
    page = visit(f"defects?run={quote(BARLOW)}&defect=bruising")
    missed = ask(
        f"SELECT fruit_id FROM prediction WHERE run_id = {RUN} AND defect = 'bruising' AND y_true = 1"
        " AND y_pred = 0 ORDER BY score",
    )
    click_cell(page, 0, 0.8, 0.45)
    expect(page.locator(".card h3").first).to_have_text(missed[0][0])
    expect(page.locator(".card img")).to_have_count(min(6, len(missed)))
    page.wait_for_function("document.querySelector('.card img').naturalWidth > 300")
    click_cell(page, 0, 0.4, 0.45)
    found = ask(
        f"SELECT COUNT(*) FROM prediction WHERE run_id = {RUN} AND defect = 'bruising' "
        "AND y_true = 1 AND y_pred = 1",
    )
    expect(page.get_by_text(f"{found[0][0]} fruit, the most confident decision first")).to_be_visible()
    click_cell(page, 0, 0.8, 0.45)
    expect(page.locator(".card h3").first).to_have_text(missed[0][0])


def test_a_selected_row_shows_the_run(visit: Visit, ask) -> None:
    page = visit("runs")
    box = page.locator("[data-testid=stDataFrame]").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 17, box["y"] + 52)
    newest = ask(
        "SELECT run_id, name FROM run WHERE study_id = 'study-overnight' AND purpose = 'final'"
        " ORDER BY started DESC LIMIT 1",
    )[0]
    expect(page.get_by_role("heading", name=newest[1])).to_be_visible()
    expect(page).to_have_url(re.compile(newest[0]))


def test_names_from_the_store_never_become_markup(visit: Visit, ask) -> None:
    run_id = ask("SELECT run_id FROM run WHERE name LIKE '%<script>%'")[0][0]
    page = visit(f"runs?inspect={run_id}&purpose=all+purposes")
    expect(page.get_by_role("heading", name="<script>")).to_contain_text("**bold** $x$ [link](")
    assert page.title() != "owned" and page.locator("a[href*='example.invalid']").count() == 0


def test_pages_open_while_a_study_writes(visit: Visit, full_store: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        with RunStore(full_store) as store:
            while not stop.is_set():
                store.heartbeat([], "study-tonight")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for path in PAGES:
            page = visit(path)
            expect(page.get_by_text("locked")).to_have_count(0)
            expect(page.locator("[data-testid=stException]")).to_have_count(0)
    finally:
        stop.set()
        writer.join()


def test_progress_moves_without_a_reload(visit: Visit, full_store: Path) -> None:
    with RunStore(full_store) as store:
        store.update_progress("study-tonight", {"stage": "finals", "done": 20, "total": 31})
    page = visit()
    expect(page.get_by_text("20 of 31 runs")).to_be_visible()
    with RunStore(full_store) as store:
        store.update_progress("study-tonight", {"stage": "finals", "done": 21, "total": 31})
    expect(page.get_by_text("21 of 31 runs")).to_be_visible(timeout=30_000)


def test_a_missing_store_is_shown_as_soon_as_it_comes(
    browser, serve: Callable[[Path], str], full_store: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store.db"
    page = browser.new_page()
    page.goto(serve(store))
    expect(page.locator("h1")).to_have_text("No results yet", timeout=30_000)
    page.locator("[data-testid=stCode]").first.hover()
    expect(page.get_by_role("button", name="Copy").first).to_be_visible()
    with sqlite3.connect(full_store) as source, sqlite3.connect(tmp_path / "new.db") as target:
        source.backup(target)
    shutil.move(tmp_path / "new.db", store)
    expect(page.locator("h1")).to_contain_text("Barlow Twins", timeout=30_000)
    page.close()

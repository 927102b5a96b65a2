"""What changed, sensors, augmentations and methods in a real browser: filters follow SQL, figures export."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect
from sample_window import choose, headline, press, settle

FINAL = "study_id = 'study-overnight' AND purpose = 'final'"

Visit = Callable[..., Page]


@pytest.fixture
def drawn(visit: Visit) -> Visit:
    """Opens a page and waits for its last words, which come after every chart."""

    def open_page(path: str, **window: object) -> Page:
        page = visit(path, **window)
        page.get_by_text("What could make this wrong").wait_for()
        settle(page)
        return page

    return open_page


def test_a_defect_narrows_what_changed(drawn: Visit, ask) -> None:
    page = drawn("changes")
    choose(page, "Defect", "bruising")
    run = f"SELECT run_id FROM run WHERE {FINAL} AND seed = 0 AND kind"
    fixed, broken = ask(
        "SELECT SUM(b.y_pred = b.y_true), SUM(a.y_pred = a.y_true) FROM prediction b"
        " JOIN prediction a USING (defect, fold, fruit_id) WHERE defect = 'bruising' AND b.y_true IS NOT NULL"
        f" AND a.y_pred <> b.y_pred AND a.run_id = ({run} = 'baseline')"
        f" AND b.run_id = ({run} = 'finetune' AND method = 'barlow_twins')",
    )[0]
    expect(page.locator("h1")).to_contain_text(f"puts {fixed} fruit right that the baseline got wrong")
    expect(page.locator("h1")).to_contain_text(f"and {broken} wrong")
    press(page, page.get_by_role("radio", name="Put wrong"))
    expect(page.get_by_text(f"{broken} fruit put wrong on bruising")).to_be_visible()
    expect(page.locator(".card")).to_have_count(min(6, broken))
    expect(page).to_have_url(re.compile("change=Put"))


def test_two_runs_of_one_method_can_be_compared(drawn: Visit) -> None:
    page = drawn("changes")
    choose(page, "After", "baseline · resnet18 · rgb+nir (seed 1)")
    expect(page.locator("h1")).to_contain_text("(seed 1)")
    expect(page.locator("h1")).to_contain_text("(seed 0)")


def test_the_measure_of_sensors_follows_the_store(drawn: Visit, ask) -> None:
    page = drawn("inputs?defect=body+rot")
    expect(page.locator("[data-testid=stVegaLiteChart]").first).to_contain_text("Agreement (MCC × 100)")
    page.get_by_role("radio", name="Found").click()
    value = ask(
        "SELECT value FROM metric JOIN run USING (run_id) WHERE study_id = 'study-overnight' AND fold IS NULL"
        " AND purpose = 'input-ablation' AND modalities = '[\"rgb\"]' AND metric = 'recall'"
        " AND defect = 'body-rot'",
    )[0][0]
    chart = page.locator("[data-testid=stVegaLiteChart]").first
    expect(chart).to_contain_text("Found, of 100")
    expect(chart).to_contain_text(f"{100 * value:.0f}")


def test_the_calculator_answers_in_money(drawn: Visit) -> None:
    page = drawn("inputs")
    choose(page, "Sensor to drop", "RGB")
    expect(page.get_by_text(re.compile("^Without RGB, errors cost"))).to_be_visible()
    settle(page)
    box = page.get_by_role("spinbutton", name="Cost of the sensor a year")
    box.fill("1000")
    box.press("Enter")
    expect(
        page.get_by_text(
            re.compile(r"Without RGB, errors cost \d+ more .* At 1,000 a year, keeping it saves")
        )
    ).to_be_visible()
    expect(page).to_have_url(re.compile("sensor-price=1000"))


def test_the_proxy_of_augmentations_can_be_changed(drawn: Visit, ask) -> None:
    page = drawn("augmentations")
    page.get_by_role("radio", name="Nearest fruit").click()
    value = ask(
        "SELECT value FROM metric m JOIN run r USING (run_id) JOIN run p ON p.run_id = r.parent_run_id"
        " WHERE m.metric = 'knn_mcc' AND m.fold IS NULL AND r.purpose = 'augmentation-ablation' AND"
        " json_extract(p.params, '$.augment.operations') = '[\"random_resized_crop\"]'",
    )[0][0]
    expect(page.locator("[data-testid=stVegaLiteChart]").first).to_contain_text(f"{100 * value:.0f}")
    expect(page.get_by_text("of nearest fruit")).to_be_visible()
    sheet = page.get_by_role("img", name=re.compile("Contact sheet: The whole policy"))
    sheet.scroll_into_view_if_needed()
    page.wait_for_function(
        "[...document.images].some(x => x.alt.startsWith('Contact') && x.naturalWidth > 400)"
    )


def test_the_share_of_labels_can_be_changed(drawn: Visit, ask) -> None:
    page = drawn("methods")
    page.get_by_role("radio", name="10 %", exact=True).click()
    value = ask(
        "SELECT AVG(value) FROM metric JOIN run USING (run_id) WHERE study_id = 'study-overnight'"
        " AND metric = 'mcc' AND defect IS NULL AND fold IS NULL AND label_fraction = 0.1"
        " AND kind = 'finetune'",
    )[0][0]
    expect(page.get_by_text("Methods and how they are judged, 10 % of the labels")).to_be_visible()
    expect(page.locator("[data-testid=stVegaLiteChart]").nth(1)).to_contain_text(f"{value:.2f}")
    press(page, page.get_by_role("radio", name="Linear readout"))
    expect(page).to_have_url(re.compile("curve=Linear"))


def test_the_curves_of_a_pretraining_open_on_a_click(drawn: Visit) -> None:
    page = drawn("methods")
    charts = page.locator("[data-testid=stVegaLiteChart]")
    closed = charts.count()
    page.get_by_text("Spread, directions, distances and evenness").click()
    expect(charts).to_have_count(closed + 4)
    expect(charts.last).to_contain_text("Uniformity loss")


def test_every_page_exports_its_evidence(drawn: Visit) -> None:
    columns = {"changes": "fixed", "inputs": "low", "augmentations": "gain", "methods": "series"}
    for path, column in columns.items():
        page = drawn(path)
        page.get_by_role("button", name="Export").first.click()
        with page.expect_download() as waiting:
            page.get_by_role("button", name="CSV table").click()
        table = pd.read_csv(io.BytesIO(Path(waiting.value.path()).read_bytes()))
        assert column in table.columns and len(table) > 3 and table["run_ids"].notna().all(), path


def test_a_pasted_link_restores_a_comparison(drawn: Visit) -> None:
    page = drawn("changes")
    choose(page, "After", "simclr · rgb+nir (seed 2)")
    expect(page.locator("h1")).to_contain_text("SimCLR puts")
    all_of_them = headline(page)
    choose(page, "Defect", "External defects")
    expect(page.locator("h1")).not_to_contain_text(all_of_them)
    settle(page)
    said = headline(page)
    assert said.startswith("SimCLR puts")
    other = drawn(page.url.split("/", 3)[3])
    assert headline(other) == said

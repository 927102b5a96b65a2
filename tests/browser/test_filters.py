"""Filters that hold everywhere, prices, heat maps on cards, links between pages, paper, and light to dark."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import quote

from playwright.sync_api import Page, expect
from sample_window import choose, headline, press, settle, until

FINAL = "study_id = 'study-overnight' AND purpose = 'final'"
BARLOW = (
    f"(SELECT run_id FROM run WHERE {FINAL} AND kind = 'finetune' AND method = 'barlow_twins' AND seed = 0)"
)
RUN = quote("barlow_twins · rgb+nir (seed 0)")

Visit = Callable[..., Page]


def test_a_pallet_holds_from_page_to_page_and_gives_what_sql_gives(visit: Visit, ask) -> None:
    pallet, tp, fn = ask(
        "SELECT fruit_group, SUM(y_pred), SUM(1 - y_pred) FROM prediction JOIN run USING (run_id)"
        f" JOIN fruit USING (dataset_id, fruit_id) WHERE run_id = {BARLOW} AND defect = 'bruising'"
        " AND y_true = 1 GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT 1"
    )[0]
    page = visit(f"defects?run={RUN}&defect=bruising")
    choose(page, "Pallet or origin", pallet)
    expect(page.locator("h1")).to_contain_text(f"Among fruit of {pallet}: ")
    expect(page.locator("h1")).to_contain_text(f"({tp} of {tp + fn}; ")
    press(page, page.get_by_role("link", name="What changed"))
    expect(page.locator("h1")).to_contain_text(f"Among fruit of {pallet}: On bruising")
    expect(page).to_have_url(re.compile(f"group={pallet}"))
    settle(page)
    other = visit(page.url.split("/", 3)[3])
    assert headline(other) == headline(page)
    press(page, page.get_by_role("link", name="Sensors"))
    expect(page.get_by_text(f"this page does not follow the choice of {pallet}")).to_be_visible()


def test_the_time_of_runs_holds_from_page_to_page(visit: Visit, ask) -> None:
    page = visit("runs?purpose=all+purposes")
    n = ask("SELECT COUNT(*) FROM run WHERE study_id = 'study-overnight'")[0][0]
    choose(page, "Started", "Last 24 hours")
    expect(page).to_have_url(re.compile(r"started=Last\+24\+hours|started=Last%2024%20hours"))
    expect(page.locator("h1")).to_contain_text(f"{n} runs")
    press(page, page.get_by_role("link", name="Tuning"))
    settle(page)
    expect(page.get_by_role("combobox", name="Started")).to_have_value("Last 24 hours")


def test_the_search_that_is_chosen_says_its_best_trial(visit: Visit, ask) -> None:
    page = visit("tuning")
    choose(page, "Search for", "SimCLR, pretrained, then trained on labels")
    n, best = ask(
        "SELECT COUNT(m.value), MAX(m.value) FROM run LEFT JOIN metric m ON m.run_id = run.run_id"
        " AND metric = 'inner_mcc' AND fold IS NULL AND defect IS NULL WHERE study_id = 'study-overnight'"
        " AND purpose = 'tune' AND kind = 'finetune' AND method = 'simclr'"
    )[0]
    expect(page.locator("h1")).to_contain_text(f"The best of {n} combinations tried for SimCLR")
    expect(page.locator("h1")).to_contain_text(f"{best:.2g}")


def test_the_table_of_runs_follows_search_and_state(visit: Visit, ask) -> None:
    page = visit("runs?purpose=all+purposes")
    box = page.get_by_role("textbox", name="Search")
    box.fill("simclr")
    box.press("Enter")
    where = "study_id = 'study-overnight' AND (name LIKE '%simclr%' OR method LIKE '%simclr%')"
    n = ask(f"SELECT COUNT(*) FROM run WHERE {where}")[0][0]
    expect(page.locator("h1")).to_contain_text(f"{n} runs")
    press(page, page.get_by_role("button", name="finished", exact=True))
    done = ask(f"SELECT COUNT(*) FROM run WHERE {where} AND status = 'complete'")[0][0]
    expect(page.locator("h1")).to_contain_text(f"{done} runs: {done} finished")
    expect(page).to_have_url(re.compile("search=simclr.*state=finished|state=finished.*search=simclr"))


def test_a_dearer_miss_changes_the_bill(visit: Visit, ask) -> None:
    page = visit(f"defects?run={RUN}")
    spec = json.loads(ask("SELECT spec FROM dataset WHERE name = 'synthetic-hass'")[0][0])
    price = {one["name"]: one["cost_miss"] for one in spec["defects"]}
    rows = ask(
        f"SELECT defect, fn, tp + fp + fn + tn FROM defect_confusion WHERE run_id = {BARLOW} AND fold IS NULL"
    )
    misses = sum(1000 * fn * price[name] / n for name, fn, n in rows)
    expect(page.get_by_text(f"Misses cost {misses:,.0f} and")).to_be_visible()
    slider = page.get_by_role("slider", name="Price of a miss")
    slider.focus()
    slider.press("ArrowRight")
    expect(page.get_by_text(f"Misses cost {2 * misses:,.0f} and")).to_be_visible()
    expect(page).to_have_url(re.compile("miss-price="))


def test_a_card_has_its_heat_map_and_leads_to_the_fruit_most_like_it(visit: Visit, ask) -> None:
    page = visit(f"defects?run={RUN}&defect=bruising&cell={quote('bruising: found')}")
    pictures = "all => all.map(x => x.src)"
    before = page.locator(".card img").evaluate_all(pictures)
    page.get_by_text("Heat maps", exact=True).click()
    warm = page.locator(".card").filter(has_text="Heat: bruising")
    expect(warm.first).to_be_visible()
    until(page, lambda: page.locator(".card img").evaluate_all(pictures) != before)
    expect(page).to_have_url(re.compile("card-heat=true"))
    first = page.locator(".card").first
    name = first.locator("h3").inner_text()
    near = ask(
        f"SELECT neighbour_id FROM neighbour WHERE run_id = {BARLOW} AND fruit_id = ? AND rank = 1", name
    )
    settle(page)
    page.goto(first.get_by_role("link", name=near[0][0]).evaluate("x => x.href"))
    expect(page.locator(".card h3").first).to_have_text(near[0][0])


def test_charts_follow_the_system_into_the_dark(visit: Visit) -> None:
    page = visit("defects")
    page.emulate_media(color_scheme="dark")
    ground = "[...document.querySelectorAll('svg.marks')].map(x => getComputedStyle(x).backgroundColor)"
    page.wait_for_function(f"() => {ground}.length && {ground}.every(x => x === 'rgb(16, 22, 26)')")
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"() => {ground}.length && {ground}.every(x => x === 'rgb(255, 255, 255)')")


def test_a_printed_page_is_whole(visit: Visit) -> None:
    page = visit("data")
    page.emulate_media(media="print", color_scheme="light")
    expect(page.locator("[data-testid=stSidebar]")).to_be_hidden()
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate(
        "x => x.scrollHeight <= x.clientHeight || getComputedStyle(x).overflowY === 'visible'"
    )
    assert main.evaluate("x => x.scrollWidth <= x.clientWidth")
    assert page.pdf(format="A4").count(b"/Type /Page\n") > 1

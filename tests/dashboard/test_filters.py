"""The filters of pallet and time, and the prices of errors: what pages show under them is what SQL gives."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest

FINAL = "study_id = 'study-overnight' AND purpose = 'final'"
BARLOW = (
    f"(SELECT run_id FROM run WHERE {FINAL} AND kind = 'finetune' AND method = 'barlow_twins' AND seed = 0)"
)
RUN = "barlow_twins · rgb+nir (seed 0)"
OLD = "UPDATE run SET started = '2020-01-01T00:00:00.000000+00:00' WHERE "
FOLLOWS = ("defects", "changes", "space")
ANY = ("overview", "inputs", "augmentations", "methods", "tuning", "data", "runs", "report")


@pytest.fixture(scope="module")
def pallet(full_store: Path) -> str:
    """The pallet with the most bruised fruit."""
    with sqlite3.connect(f"file:{full_store}?mode=ro", uri=True) as connection:
        return connection.execute(
            "SELECT fruit_group FROM fruit WHERE labels ->> '$.bruising' = 1"
            " GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT 1"
        ).fetchone()[0]


def test_decisions_follow_the_pallet(full_store, open_page, headline, written, ask, pallet) -> None:
    app = open_page(full_store, "defects", run=RUN, defect="bruising", group=pallet, cell="bruising: found")
    tp, fn = ask(
        full_store,
        "SELECT SUM(y_true AND y_pred), SUM(y_true AND NOT y_pred)"
        " FROM prediction JOIN run USING (run_id) JOIN fruit USING (dataset_id, fruit_id)"
        f" WHERE run_id = {BARLOW} AND defect = 'bruising' AND fruit_group = ?",
        pallet,
    )[0]
    assert tp + fn, "this pallet has bruised fruit"
    assert f"Among fruit of {pallet}: " in headline(app) and f"({tp} of {tp + fn}; " in headline(app)
    assert f"{tp} fruit, the most confident decision first" in written(app)
    assert f"fruit of {pallet} only" in written(app)


def test_what_changed_follows_the_pallet(full_store, open_page, headline, ask, pallet) -> None:
    app = open_page(full_store, "changes", group=pallet)
    fixed, broken = ask(
        full_store,
        "SELECT COALESCE(SUM(b.y_pred = b.y_true), 0), COALESCE(SUM(a.y_pred = a.y_true), 0)"
        " FROM prediction b JOIN prediction a USING (defect, fold, fruit_id)"
        f" JOIN fruit USING (fruit_id) WHERE b.run_id = {BARLOW} AND fruit_group = ? AND a.y_pred <> b.y_pred"
        f" AND a.run_id = (SELECT run_id FROM run WHERE {FINAL} AND kind = 'baseline' AND seed = 0)"
        " AND b.y_true IS NOT NULL",
        pallet,
    )[0]
    assert f"puts {fixed} decisions right" in headline(app) and f"and {broken} wrong" in headline(app)
    assert headline(app).startswith(f"Among fruit of {pallet}")


def test_points_and_maps_follow_the_pallet(full_store, open_page, headline, written, ask, pallet) -> None:
    n = ask(
        full_store,
        f"SELECT COUNT(*) FROM embedding JOIN fruit USING (fruit_id) WHERE run_id = {BARLOW}"
        " AND projection = 'pca' AND fruit_group = ?",
        pallet,
    )[0][0]
    assert f"({n} fruit)" in headline(open_page(full_store, "space", projection="PCA", group=pallet))
    cases = ask(
        full_store,
        "SELECT COUNT(DISTINCT fruit_id || defect) FROM attribution JOIN run USING (run_id)"
        f" JOIN fruit USING (dataset_id, fruit_id) WHERE run_id = {BARLOW} AND fruit_group = ?",
        pallet,
    )[0][0]
    said = written(open_page(full_store, "gradcam", group=pallet))
    assert (f"{cases} cases, the most" in said) if cases else ("No case matches" in said)


@pytest.mark.parametrize("page", ANY)
def test_a_page_that_does_not_follow_the_pallet_says_so(full_store, open_page, written, page, pallet) -> None:
    assert f"this page does not follow the choice of {pallet}" in written(
        open_page(full_store, page, group=pallet)
    )


@pytest.mark.parametrize("page", FOLLOWS)
def test_a_page_that_follows_the_pallet_names_it(full_store, open_page, written, page, pallet) -> None:
    assert f"fruit of {pallet} only" in written(open_page(full_store, page, group=pallet))


def test_where_the_model_looks_shows_the_pallet_and_counts_them_all(full_store, open_page, written, pallet):
    text = written(open_page(full_store, "gradcam", group=pallet))
    assert f"Numbers are of the fruit of all pallets; the pictures are of {pallet} only." in text


@pytest.mark.parametrize("page", ["overview", "methods", "inputs"])
def test_a_headline_over_all_defects_says_so_beside_a_group_of_them(full_store, open_page, written, page):
    app = open_page(full_store, page)
    assert "Headline and means are over all defects" not in written(app)
    app.selectbox(key="defect").select("Internal defects").run()
    assert "what is told defect by defect is of the internal defects only" in written(app)


def test_fruit_that_are_groups_of_their_own_have_no_pallet_filter(changed, open_page) -> None:
    app = open_page(changed("UPDATE fruit SET fruit_group = fruit_id"), "overview")
    assert "group" not in {box.key for box in app.selectbox}


def test_classes_follow_the_pallet(changed, open_page, headline, ask) -> None:
    store = changed("UPDATE fruit SET fruit_group = 'tray-' || (position % 4) WHERE fruit_id LIKE 'berry-%'")
    run = open_page(store, "defects", dataset="strawberry-crops", group="tray-1")
    name = run.selectbox(key="run").value
    assert name
    right, n = ask(
        store,
        "SELECT SUM(p.y_pred), COUNT(*) FROM prediction p JOIN fruit f USING (fruit_id) WHERE p.y_true = 1"
        " AND fruit_group = 'tray-1' AND run_id = (SELECT run_id FROM run WHERE study_id = 'study-berries'"
        " AND seed = 0)",
    )[0]
    assert f"puts {100 * right / n:.0f} of 100 fruit into the right class ({n} fruit)" in headline(run)


def test_only_runs_of_the_chosen_time_are_listed(changed, open_page, written, ask) -> None:
    store = changed(f"{OLD} method = 'simclr'")
    app = open_page(store, "runs", started="Last 7 days", purpose="all purposes")
    n = ask(store, "SELECT COUNT(*) FROM run WHERE study_id = 'study-overnight' AND method <> 'simclr'")[0][0]
    assert re.match(rf"{n} runs", app.title[0].value)
    options = open_page(store, "defects", started="Last 24 hours").selectbox(key="run").options
    assert options and not [label for label in options if label.startswith("simclr")]


def test_a_filter_that_hides_everything_says_so_and_offers_no_command(changed, open_page, written) -> None:
    store = changed(f"{OLD} 1")
    for page in ("overview", "defects", "methods", "inputs", "augmentations", "gradcam", "space", "tuning"):
        app = open_page(store, page, started="Last 30 days")
        assert "The filters hide what there is: Last 30 days" in written(app), page
        assert not [code for code in app.code if "backend.tune" in code.value and "resume" in code.value]


@pytest.mark.parametrize(("miss", "alarm"), [("× 2", "× 1"), ("× 0.5", "× 5")])
def test_prices_that_are_moved_change_the_bill(full_store, open_page, written, ask, miss, alarm) -> None:
    app = open_page(full_store, "defects", run=RUN)
    app.select_slider(key="miss-price").set_value(float(miss[2:]))
    app.select_slider(key="alarm-price").set_value(float(alarm[2:])).run()
    prices = {
        one["name"]: (one["cost_miss"], one["cost_false_alarm"])
        for one in json.loads(
            ask(full_store, "SELECT spec FROM dataset WHERE name = 'synthetic-hass'")[0][0]
        )["defects"]
    }
    rows = ask(
        full_store,
        f"SELECT defect, fn, fp, tp + fp + fn + tn FROM defect_confusion WHERE run_id = {BARLOW}"
        " AND fold IS NULL",
    )
    misses = sum(1000 * fn * prices[name][0] * float(miss[2:]) / n for name, fn, _, n in rows)
    alarms = sum(1000 * fp * prices[name][1] * float(alarm[2:]) / n for name, _, fp, n in rows)
    assert f"Misses cost {misses:,.0f} and false alarms {alarms:,.0f} per 1,000 fruit" in written(app)

"""The overview: its headline is the stored test, its counts are SQL's."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dashboard.format import per_hundred

KILLED = """
import os, pathlib, sys
from backend.store.locking import StoreLock
StoreLock(pathlib.Path(sys.argv[1]))
os._exit(9)
"""
BEAT = "UPDATE study SET heartbeat = ? WHERE status = 'running'"


def test_the_headline_is_that_of_the_stored_test(full_store: Path, open_page, headline, ask) -> None:
    app = open_page(full_store, "overview")
    delta, low, high, n, verdict = ask(
        full_store,
        "SELECT c.delta, c.ci_low, c.ci_high, c.n, c.verdict FROM comparison c "
        "JOIN run r ON r.run_id = c.run_id_b WHERE c.family LIKE 'pretraining%' AND c.metric = 'recall' "
        "AND c.defect IS NULL AND r.seed = 0",
    )[0]
    assert verdict == "better", "the sample store argues for pretraining"
    assert headline(app) == (
        f"Pretraining with Barlow Twins finds {per_hundred(delta)} more of 100 defects "
        f"({per_hundred(low)} to {per_hundred(high)}; {n} fruit)."
    )


def test_tests_beside_the_deciding_one_are_not_told(full_store: Path, changed, open_page) -> None:
    columns = "run_id_a, run_id_b, defect, metric, delta, ci_low, ci_high, family, n, verdict"
    store = changed(
        f"INSERT INTO comparison ({columns}, test) SELECT {columns.replace('delta, ci_low', '-0.5, -0.6')},"
        " 'corrected-t' FROM comparison WHERE family LIKE 'pretraining%'"
    )
    apps = [open_page(path, "overview") for path in (full_store, store)]
    assert apps[0].title[0].value == apps[1].title[0].value
    specs = [app.get("vega_lite_chart")[0].proto.data.data for app in apps]
    assert specs[0] == specs[1]


@pytest.mark.parametrize("alone", [True, False])
def test_dots_of_one_seed_beside_differences_of_all_say_so(full_store, changed, open_page, written, alone):
    others = "UPDATE run SET status = 'failed' WHERE purpose = 'final' AND seed > 0"
    app = open_page(changed(others) if alone else full_store, "overview")
    assert ("first of" in written(app)) is not alone


def test_the_headline_follows_the_defect(full_store: Path, open_page) -> None:
    app = open_page(full_store, "overview")
    app.selectbox(key="defect").select("body rot").run()
    assert "on body rot" in app.title[0].value and not app.exception


def test_what_ran_is_counted_by_sql(full_store: Path, open_page, written, ask) -> None:
    app = open_page(full_store, "overview")
    shown = {metric.label: metric.value for metric in app.metric}
    counts = dict(
        ask(full_store, "SELECT status, COUNT(*) FROM run WHERE study_id = 'study-overnight' GROUP BY 1")
    )
    assert shown["finished"] == str(counts["complete"]) and shown["failed"] == str(counts["failed"])
    assert "out of memory: batch of 256 at 224 px" in written(app)


def test_a_running_study_shows_where_it_is(changed, open_page, written) -> None:
    app = open_page(changed(BEAT, "2999-01-01T00:00:00+00:00"), "overview")
    assert app.progress[0].value == 22 and app.progress[0].text == "7 of 31 runs"
    assert "1 h 30 min left" in written(app)


def test_a_silent_study_is_said_to_be_silent(changed, open_page, written) -> None:
    app = open_page(changed(BEAT, "2020-01-01T00:00:00+00:00"), "overview")
    assert "has not reported for" in written(app)
    assert any(re.match("python -m backend.tune --dataset .* --store ", code.value) for code in app.code)


def test_a_study_whose_driver_was_killed_is_silent_at_once(changed, open_page, written) -> None:
    store = changed(BEAT, datetime.now(UTC).isoformat(timespec="microseconds"))
    assert "Running now" in written(open_page(store, "overview"))
    subprocess.run([sys.executable, "-c", KILLED, store], check=False)
    app = open_page(store, "overview")
    assert "has not reported for" in written(app) and "Running now" not in written(app)


def test_models_that_only_guess_are_not_argued_about(changed, open_page, headline, written) -> None:
    """A pretraining that was compared on few labels alone, on which nothing was learned."""
    store = changed(
        "UPDATE metric SET value = 0.04 WHERE metric = 'mcc' AND defect IS NULL AND run_id IN"
        " (SELECT run_id FROM run WHERE label_fraction < 1)"
    )
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE run SET transductive = 1 WHERE init = 'ssl' AND label_fraction = 1")
    app = open_page(store, "overview")
    assert headline(app).startswith("On average over 10 defects, the baseline finds ")
    assert (
        "With 25 % of the labels, the baseline and Barlow Twins have learned too little to be compared"
        " (agreement 0.040 and 0.040)." in written(app)
    )
    assert "hardly better than guessing" not in written(app)


def test_runs_of_two_studies_with_other_folds_are_not_compared(changed, open_page, headline, written) -> None:
    store = changed("UPDATE study SET fold_version = 'other' WHERE study_id = 'study-sensors'")
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE run SET status = 'failed' WHERE study_id = 'study-sensors'")
        connection.execute("UPDATE run SET study_id = 'study-sensors' WHERE init = 'ssl'")
    app = open_page(store, "overview", study="All studies")
    assert headline(app).startswith("On average over 10 defects, ")
    assert "These two runs cannot be compared: " in written(app)


def test_what_was_lost_without_a_run_is_told(changed, open_page, written) -> None:
    failed = [
        {"run_id": None, "name": "barlow_twins", "error": "none of 6 trials finished"},
        {"run_id": None, "name": "input ablation", "error": "ValueError: no fruit <left>\nTraceback"},
        {"run_id": "run-1", "name": "a run", "error": "told above"},
        {"run_id": None, "error": "nobody's"},
        "not a fault at all",
    ]
    summary = json.dumps({"seconds": 6900, "failed": failed})
    store = changed("UPDATE study SET summary = ? WHERE study_id = 'study-overnight'", summary)
    text = written(open_page(store, "overview"))
    assert "What else did not finish" in text
    assert "- Barlow Twins: none of 6 trials finished\n- input ablation: ValueError: no fruit" in text
    assert "Traceback" not in text and "told above" not in text and "nobody" not in text


def test_what_a_budget_cut_stands_one_below_the_other(changed, open_page, written) -> None:
    cuts = ["baseline.tune_epochs: 13 instead of 20", "seeds: 0, 1 instead of 0, 1, 2"]
    summary = {"seconds": 6900, "budget": 7200, "cuts": cuts}
    store = changed("UPDATE study SET summary = ? WHERE study_id = 'study-overnight'", json.dumps(summary))
    text = written(open_page(store, "overview"))
    assert "It had a budget of 2 h; to fit, it cut 2 settings of the plan." in text
    assert "- baseline, tune epochs: 13 instead of 20\n- seeds: 0, 1 instead of 0, 1, 2" in text


def test_a_side_that_was_trained_once_is_named(changed, open_page, written) -> None:
    assert "One seed only" not in written(open_page(changed("SELECT 1"), "overview"))
    store = changed("DELETE FROM run WHERE method = 'barlow_twins' AND kind = 'finetune' AND seed > 0")
    assert "One seed only of Barlow Twins: repeat with other seeds" in written(open_page(store, "overview"))

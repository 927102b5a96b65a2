"""The table of runs, and one run whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.store.queries import runs


def test_the_table_holds_what_sql_holds(full_store: Path, open_page, written, ask) -> None:
    app = open_page(full_store, "runs", purpose="all purposes")
    rows = ask(full_store, "SELECT COUNT(*) FROM run WHERE study_id = 'study-overnight'")[0][0]
    assert len(app.dataframe[0].value) == rows
    app.text_input(key="search").set_value("memory").run()
    assert app.dataframe[0].value["State"].tolist() == ["failed"]
    app.text_input(key="search").set_value("no such run").run()
    assert not app.dataframe and "No run matches" in written(app)


def test_final_runs_are_shown_first(full_store: Path, open_page, written, ask) -> None:
    app = open_page(full_store, "runs")
    rows = ask(
        full_store, "SELECT COUNT(*) FROM run WHERE study_id = 'study-overnight' AND purpose = 'final'"
    )
    assert len(app.dataframe[0].value) == rows[0][0]
    everything = ask(full_store, "SELECT COUNT(*) FROM run WHERE study_id = 'study-overnight'")[0][0]
    said = written(app)
    assert f"{rows[0][0]} runs (final results)" in said and f"{everything} runs in all" in said


def test_a_table_that_leaves_runs_out_still_counts_all(
    full_store: Path, open_page, written, ask, monkeypatch
) -> None:
    shown = 5
    everything = ask(full_store, "SELECT COUNT(*) FROM run WHERE study_id = 'study-overnight'")[0][0]
    assert everything > shown
    newest = runs.run_table

    def few(connection, chosen):
        return newest(connection, chosen, limit=shown)

    monkeypatch.setattr(runs, "run_table", few)
    monkeypatch.setattr("dashboard.views.runs.NEWEST", shown)
    app = open_page(full_store, "runs", purpose="all purposes")
    assert len(app.dataframe[0].value) == shown
    assert f"{everything} runs" in written(app) and f"newest {shown} runs" in written(app)


@pytest.mark.parametrize("tab", ["Numbers", "Training curves", "Configuration", "Origin and files"])
def test_one_run_is_shown_whole(full_store: Path, tab: str, open_page, written, ask, finals) -> None:
    run_id = ask(full_store, f"SELECT run_id FROM run WHERE {finals} AND kind = 'finetune' LIMIT 1")[0][0]
    app = open_page(full_store, "runs", inspect=run_id, detail=tab)
    assert "seed 0" in written(app) and "3 of 3 folds" in written(app)
    if tab == "Training curves":
        assert len(app.get("vega_lite_chart")) == 2
    if tab == "Origin and files":
        assert "made from: simclr pretrain" in written(app)


def test_a_failed_run_says_why(full_store: Path, open_page, ask) -> None:
    run_id = ask(full_store, "SELECT run_id FROM run WHERE status = 'failed'")[0][0]
    app = open_page(full_store, "runs", inspect=run_id)
    assert app.code[0].value == "out of memory: batch of 256 at 224 px; halve the batch"


def test_a_run_that_is_gone_is_said_to_be_gone(full_store: Path, open_page, written) -> None:
    assert "not in the store any more" in written(open_page(full_store, "runs", inspect="gone"))


def test_hostile_names_are_only_text(full_store: Path, open_page, ask) -> None:
    run_id = ask(full_store, "SELECT run_id FROM run WHERE name LIKE '%<script>%'")[0][0]
    app = open_page(full_store, "runs", inspect=run_id, purpose="all purposes")
    heading = next(element.value for element in app.subheader if "script" in element.value)
    assert "\\<script\\>" in heading and "\\*\\*bold\\*\\*" in heading and "\\[link\\]\\(" in heading

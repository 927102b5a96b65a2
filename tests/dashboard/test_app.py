"""Pages on every kind of store: what they say, what their filters change, and that they never break."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]
PAGES = ("overview", "defects", "runs")
SCRIPT = """
from pathlib import Path
from dashboard.app import drawing
from dashboard.pages import PAGES
drawing(next(entry for entry in PAGES if entry.name == {page!r}), Path({store!r}))()
"""
STUDY = "study_id = 'study-overnight'"
FINAL = f"{STUDY} AND purpose = 'final' AND kind <> 'pretrain'"
BEAT = "UPDATE study SET heartbeat = ? WHERE status = 'running'"


def opened(store: Path, page: str, **query: str) -> AppTest:
    """A page drawn once, with what the address says."""
    app = AppTest.from_string(SCRIPT.format(page=page, store=str(store)), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception
    return app


def words(app: AppTest) -> str:
    """Everything written on the page, unescaped."""
    kinds = (
        app.title,
        app.header,
        app.subheader,
        app.markdown,
        app.caption,
        app.code,
        app.error,
        app.warning,
    )
    return "\n".join(element.value.replace("\\", "") for kind in kinds for element in kind)


def fruit_cards(app: AppTest) -> str:
    """The HTML of the cards."""
    return next(element.value for element in app.html if "class='cards'" in element.value)


def query(store: Path, sql: str, *values: object) -> list[tuple]:
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
        return connection.execute(sql, values).fetchall()


@pytest.mark.parametrize("page", PAGES)
def test_pages_open_on_a_full_store(full_store: Path, page: str) -> None:
    app = opened(full_store, page)
    assert len(app.title) == 1 and "synthetic" in words(app)
    assert app.selectbox(key="dataset").value == "synthetic-hass"
    assert app.selectbox(key="study").value.startswith("overnight"), "the latest study with a result"


@pytest.mark.parametrize("page", PAGES)
def test_pages_open_on_a_multiclass_data_set(full_store: Path, page: str) -> None:
    app = opened(full_store, page, dataset="strawberry-crops")
    assert "strawberry-crops" in words(app)
    assert "All classes" in app.selectbox(key="defect").options


@pytest.mark.parametrize("page", PAGES)
def test_pages_open_on_a_half_written_store(half_written_store: Path, page: str) -> None:
    app = opened(half_written_store, page)
    assert app.title or app.header


@pytest.mark.parametrize("page", PAGES)
def test_a_missing_store_gets_a_command_to_copy(tmp_path: Path, page: str) -> None:
    app = opened(tmp_path / "my store.db", page)
    assert app.title[0].value == "No results yet"
    assert app.code[0].value == f"python -m backend.tune --plan quick --store '{tmp_path}/my store.db'"


def test_the_default_store_gets_the_short_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert opened(Path("runs/store.db"), "overview").code[0].value == "make demo"


def test_an_empty_store_gets_a_command_to_copy(empty_store: Path) -> None:
    app = opened(empty_store, "overview")
    assert app.title[0].value == "No study yet"
    assert app.code[0].value.startswith("python -m backend.tune --plan quick")


@pytest.mark.parametrize("kind", ["foreign", "newer", "text"])
@pytest.mark.parametrize("page", PAGES)
def test_a_file_that_is_no_store_is_said_to_be_none(
    broken_stores: dict[str, Path], kind: str, page: str
) -> None:
    app = opened(broken_stores[kind], page)
    assert app.title[0].value == "This store cannot be shown"
    assert str(broken_stores[kind]) in words(app)
    assert "dashboard/app.py -- --store" in app.code[-1].value


def test_the_headline_is_that_of_the_stored_test(full_store: Path) -> None:
    app = opened(full_store, "overview")
    delta, low, high, n, verdict = query(
        full_store,
        "SELECT c.delta, c.ci_low, c.ci_high, c.n, c.verdict FROM comparison c "
        "JOIN run r ON r.run_id = c.run_id_b WHERE c.family = 'ssl' AND c.metric = 'recall' "
        "AND c.defect IS NULL AND r.seed = 0",
    )[0]
    assert verdict == "better", "the sample store argues for pretraining"
    title = app.title[0].value.replace("\\", "").replace("\N{NO-BREAK SPACE}", " ")
    assert title == (
        f"Pretraining with Barlow Twins finds {100 * delta:.0f} more of 100 defects "
        f"({100 * low:.0f} to {100 * high:.0f}; {n} fruit)."
    )


def test_tests_beside_the_deciding_one_are_not_told(full_store: Path, changed) -> None:
    columns = "run_id_a, run_id_b, defect, metric, delta, ci_low, ci_high, family, n, verdict"
    store = changed(
        f"INSERT INTO comparison ({columns}, test) SELECT {columns.replace('delta, ci_low', '-0.5, -0.6')},"
        " 'corrected-t' FROM comparison WHERE family = 'ssl'"
    )
    apps = [opened(path, "overview") for path in (full_store, store)]
    assert apps[0].title[0].value == apps[1].title[0].value
    specs = [app.get("vega_lite_chart")[0].proto.data.data for app in apps]
    assert specs[0] == specs[1]


def test_the_headline_follows_the_defect(full_store: Path) -> None:
    app = opened(full_store, "overview")
    app.selectbox(key="defect").select("body rot").run()
    assert "fruit with body rot" in app.title[0].value and not app.exception


def test_what_ran_is_counted_by_sql(full_store: Path) -> None:
    app = opened(full_store, "overview")
    shown = {metric.label: metric.value for metric in app.metric}
    counts = dict(
        query(full_store, "SELECT status, COUNT(*) FROM run WHERE study_id = 'study-overnight' GROUP BY 1")
    )
    assert shown["finished"] == str(counts["complete"]) and shown["failed"] == str(counts["failed"])
    assert "out of memory: batch of 256 at 224 px" in words(app)


@pytest.fixture
def changed(full_store: Path, tmp_path: Path):
    """Makes a copy of the full store and changes it with one statement."""

    def change(sql: str, *values: object) -> Path:
        copy = tmp_path / "copy.db"
        with sqlite3.connect(full_store) as source, sqlite3.connect(copy) as target:
            source.backup(target)
            target.execute(sql, values)
        return copy

    return change


def test_a_running_study_shows_where_it_is(changed) -> None:
    app = opened(changed(BEAT, "2999-01-01T00:00:00+00:00"), "overview")
    assert app.progress[0].value == 22 and app.progress[0].text == "7 of 31 runs"
    assert "1 h 30 min left" in words(app)


def test_a_silent_study_is_said_to_be_silent(changed) -> None:
    app = opened(changed(BEAT, "2020-01-01T00:00:00+00:00"), "overview")
    assert "has not reported for" in words(app)
    assert any(re.match("python -m backend.tune --dataset .* --store ", code.value) for code in app.code)


def test_the_run_and_its_fold_decide_the_sentence(full_store: Path) -> None:
    app = opened(full_store, "defects")
    app.selectbox(key="run").select("baseline · resnet18 · rgb+nir (seed 1)").run()
    app.selectbox(key="fold").select("Fold 2").run()
    tp, fn = query(
        full_store,
        "SELECT SUM(tp), SUM(fn) FROM defect_confusion WHERE fold = 1 AND run_id = "
        f"(SELECT run_id FROM run WHERE {FINAL} AND kind = 'baseline' AND seed = 1)",
    )[0]
    assert f"({tp} of {tp + fn})" in app.title[0].value.replace("\\", "")


def test_the_threshold_recomputes_from_predictions(full_store: Path) -> None:
    app = opened(full_store, "defects", defect="stem end rot", run="barlow_twins · rgb+nir (seed 0)")
    app.slider(key="threshold").set_value(0.3).run()
    assert app.session_state["decision"] == "My threshold"
    tp, fn = query(
        full_store,
        "SELECT SUM(y_true = 1 AND score >= 0.3), SUM(y_true = 1 AND score < 0.3) FROM prediction "
        f"WHERE defect = 'stem-end-rot' AND run_id = (SELECT run_id FROM run WHERE {FINAL} "
        "AND method = 'barlow_twins' AND seed = 0)",
    )[0]
    assert f"finds {100 * tp / (tp + fn):.0f} of 100 fruit with stem end rot" in app.title[0].value


@pytest.mark.parametrize("view", ["Decisions", "Precision", "Calibration", "Cost"])
@pytest.mark.parametrize("dataset", ["synthetic-hass", "strawberry-crops"])
def test_every_view_draws_a_chart_for_each_defect(full_store: Path, view: str, dataset: str) -> None:
    app = opened(full_store, "defects", view=view, dataset=dataset)
    expected = {"synthetic-hass": 10, "strawberry-crops": 4 + (view == "Decisions")}[dataset]
    assert len(app.get("vega_lite_chart")) == expected


def test_filters_of_a_family_leave_the_others_out(full_store: Path) -> None:
    app = opened(full_store, "defects", defect="External defects")
    assert len(app.get("vega_lite_chart")) == 5
    assert "external defects" in app.title[0].value and "body rot" not in words(app)


def test_two_runs_stand_side_by_side_with_their_difference(full_store: Path) -> None:
    app = opened(
        full_store, "defects", defect="Internal defects", against="baseline · resnet18 · rgb+nir (seed 0)"
    )
    assert len(app.get("vega_lite_chart")) == 15
    assert "Difference" in words(app)


def test_a_chosen_cell_shows_its_fruit(full_store: Path) -> None:
    app = opened(full_store, "defects", cell="bruising: missed", run="barlow_twins · rgb+nir (seed 0)")
    missed = query(
        full_store,
        "SELECT fruit_id FROM prediction WHERE defect = 'bruising' AND y_true = 1 AND y_pred = 0 "
        f"AND run_id = (SELECT run_id FROM run WHERE {FINAL} AND method = 'barlow_twins' AND seed = 0) "
        "ORDER BY score",
    )
    cards = fruit_cards(app)
    assert f"{len(missed)} fruit, the most confident decision first" in words(app)
    places = [cards.index(f"<h3>{name}</h3>") for (name,) in missed[:6]]
    assert places == sorted(places)
    assert cards.count("data:image/webp;base64,") == min(6, len(missed))


def test_classes_that_were_confused_show_their_fruit(full_store: Path) -> None:
    app = opened(full_store, "defects", dataset="strawberry-crops", cell="unripe taken for anomalous")
    assert "<h3>berry-" in fruit_cards(app) and "data:image" not in fruit_cards(app)
    assert "pictures are not at" in words(app)


def test_runs_that_must_not_be_compared_are_not(changed) -> None:
    store = changed(f"UPDATE run SET transductive = 1 WHERE {FINAL} AND method = 'simclr'")
    app = opened(store, "defects", against="simclr · rgb+nir (seed 0)")
    assert "saw the test fruit" in app.warning[0].value and len(app.get("vega_lite_chart")) == 10


def test_the_table_holds_what_sql_holds(full_store: Path) -> None:
    app = opened(full_store, "runs", purpose="all purposes")
    rows = query(full_store, "SELECT COUNT(*) FROM run WHERE study_id = 'study-overnight'")[0][0]
    assert len(app.dataframe[0].value) == rows
    app.text_input(key="search").set_value("memory").run()
    assert app.dataframe[0].value["State"].tolist() == ["failed"]
    app.text_input(key="search").set_value("no such run").run()
    assert not app.dataframe and "No run matches" in words(app)


def test_final_runs_are_shown_first(full_store: Path) -> None:
    app = opened(full_store, "runs")
    rows = query(
        full_store, "SELECT COUNT(*) FROM run WHERE study_id = 'study-overnight' AND purpose = 'final'"
    )
    assert len(app.dataframe[0].value) == rows[0][0]


@pytest.mark.parametrize("tab", ["Numbers", "Training curves", "Configuration", "Origin and files"])
def test_one_run_is_shown_whole(full_store: Path, tab: str) -> None:
    run_id = query(full_store, f"SELECT run_id FROM run WHERE {FINAL} AND kind = 'finetune' LIMIT 1")[0][0]
    app = opened(full_store, "runs", inspect=run_id, detail=tab)
    assert "seed 0" in words(app) and "3 of 3 folds" in words(app)
    if tab == "Training curves":
        assert len(app.get("vega_lite_chart")) == 2
    if tab == "Origin and files":
        assert "made from: simclr pretrain" in words(app)


def test_a_failed_run_says_why(full_store: Path) -> None:
    run_id = query(full_store, "SELECT run_id FROM run WHERE status = 'failed'")[0][0]
    app = opened(full_store, "runs", inspect=run_id)
    assert app.code[0].value == "out of memory: batch of 256 at 224 px; halve the batch"


def test_a_run_that_is_gone_is_said_to_be_gone(full_store: Path) -> None:
    assert "not in the store any more" in words(opened(full_store, "runs", inspect="gone"))


def test_hostile_names_are_only_text(full_store: Path) -> None:
    run_id = query(full_store, "SELECT run_id FROM run WHERE name LIKE '%<script>%'")[0][0]
    app = opened(full_store, "runs", inspect=run_id, purpose="all purposes")
    heading = next(element.value for element in app.subheader if "script" in element.value)
    assert "\\<script\\>" in heading and "\\*\\*bold\\*\\*" in heading and "\\[link\\]\\(" in heading


def test_hostile_groups_and_paths_are_only_text(changed) -> None:
    attack = "<img src=x onerror='alert(1)'>"
    store = changed(
        'UPDATE fruit SET fruit_group = ?, images = \'{"rgb": {"1": "../../etc/passwd"}}\'', attack
    )
    cards = fruit_cards(opened(store, "defects", cell="bruising: missed"))
    assert attack not in cards and "&lt;img src=x onerror=&#x27;alert(1)&#x27;&gt;" in cards


@pytest.mark.parametrize(
    "address",
    [
        {"study": "no such study"},
        {"defect": "nothing"},
        {"run": "x"},
        {"threshold": "abc"},
        {"cell": "x: y"},
        {"fold": "Fold 99"},
    ],
)
def test_a_wrong_address_falls_back(full_store: Path, address: dict[str, str]) -> None:
    app = opened(full_store, "defects", **address)
    assert len(app.get("vega_lite_chart")) == 10


def test_the_dashboard_never_loads_what_trains() -> None:
    program = (
        "import importlib, pkgutil, sys, dashboard\n"
        "for m in pkgutil.walk_packages(dashboard.__path__, 'dashboard.'): importlib.import_module(m.name)\n"
        "print([m for m in ('torch', 'lightly', 'optuna', 'sklearn', 'vl_convert') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"

"""Backup, export, retention, and the command that calls them."""

import csv
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pyarrow.parquet
import pytest

from backend.cli import run_command
from backend.errors import ConfigError, StoreError
from backend.store.__main__ import main
from backend.store.backup import back_up
from backend.store.connection import open_readonly
from backend.store.export import export
from backend.store.retention import Policy, collect, expendable
from backend.store.schema import TABLES
from backend.store.writer import RunStore

NOW = datetime(2030, 1, 1, tzinfo=UTC)


# Backup


def test_a_backup_of_a_store_in_use_is_a_verified_single_file(store, fill, store_path, tmp_path, contents):
    fill(store)
    copy = tmp_path / "safe" / "copy.db"
    rows = back_up(store_path, copy)
    assert contents(copy) == contents(store_path)
    assert rows["prediction"] == 20
    assert [path.name for path in copy.parent.iterdir()] == ["copy.db"]
    fill(store, seed=1)
    assert back_up(store_path, copy)["run"] == 2


def test_a_backup_that_fails_leaves_the_old_one(store, fill, store_path, tmp_path):
    fill(store)
    copy = tmp_path / "copy.db"
    back_up(store_path, copy)
    good = copy.read_bytes()
    store.connection.execute("PRAGMA foreign_keys = OFF")
    store.connection.execute("UPDATE run SET study_id = 'nobody'")
    with pytest.raises(StoreError, match="the copy is not right"):
        back_up(store_path, copy)
    assert copy.read_bytes() == good
    with pytest.raises(StoreError, match="would replace the store"):
        back_up(store_path, store_path)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        back_up(store_path, tmp_path / "file" / "copy.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "file", "runs"]


# Export


def test_every_table_is_exported_with_its_types(store, fill, store_path, tmp_path):
    fill(store)
    out = tmp_path / "tables"
    rows = export(store_path, out)
    assert set(rows) == set(TABLES)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"{table}.{kind}" for table in TABLES for kind in ("parquet", "csv")
    )
    table = pyarrow.parquet.read_table(out / "prediction.parquet")
    assert table.num_rows == rows["prediction"] == 20
    with closing(open_readonly(store_path)) as connection:
        stored = [tuple(row) for row in connection.execute("SELECT * FROM prediction")]
    assert [tuple(row.values()) for row in table.to_pylist()] == stored
    with (out / "prediction.csv").open(newline="") as file:
        text = list(csv.DictReader(file))
    assert [(row["fruit_id"], float(row["score"])) for row in text] == [(row[2], row[5]) for row in stored]
    assert [row["y_true"] for row in text].count("") == 1
    assert pyarrow.parquet.read_schema(out / "comparison.parquet").names[:2] == ["run_id_a", "run_id_b"]


def test_large_tables_are_exported_in_pieces(store, fill, store_path, tmp_path, monkeypatch):
    fill(store)
    monkeypatch.setattr("backend.store.export.CHUNK", 3)
    export(store_path, tmp_path, ("parquet",), ("prediction", "metric"))
    assert pyarrow.parquet.read_table(tmp_path / "prediction.parquet").num_rows == 20
    assert sorted(path.name for path in tmp_path.glob("*.parquet")) == [
        "metric.parquet",
        "prediction.parquet",
    ]


def test_bad_exports_are_one_line(store, fill, store_path, tmp_path):
    fill(store)
    with pytest.raises(ConfigError, match="unknown format 'xls'; expected one of csv, parquet"):
        export(store_path, tmp_path, ("xls",))
    with pytest.raises(ConfigError, match="unknown table 'runs'; expected one of artifact"):
        export(store_path, tmp_path, tables=("runs",))
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        export(store_path, tmp_path / "file" / "out")
    store.connection.execute("UPDATE metric SET value = 'many'")
    with pytest.raises(StoreError, match="cannot be written"):
        export(store_path, tmp_path / "out", tables=("metric",))
    assert list((tmp_path / "out").iterdir()) == []


# Retention


@pytest.fixture
def aged(store, fill, make_run, store_path):
    """Runs by name: all old, but ``new``; ``child`` is final and comes from ``parent``."""
    names = {
        "old": fill(store, seed=0, purpose="tune"),
        "final": fill(store, seed=1, purpose="final"),
        "parent": fill(store, seed=2, purpose="tune", kind="pretrain"),
        "new": fill(store, seed=4, purpose="tune"),
        "live": fill(store, seed=5, purpose="tune"),
    }
    child = make_run(6, purpose="final", kind="finetune", parent=names["parent"])
    store.start_run(child)
    store.end_run(child.run_id, "failed", "NaN")
    names["child"] = child.run_id
    old = (NOW - timedelta(days=31)).isoformat()
    store.connection.execute("UPDATE run SET finished = ?, started = ?", (old, old))
    store.connection.execute(
        "UPDATE run SET finished = ? WHERE run_id = ?", (NOW.isoformat(timespec="microseconds"), names["new"])
    )
    store.connection.execute("UPDATE run SET status = 'running' WHERE run_id = ?", (names["live"],))
    store.close()
    return store_path, {run_id: name for name, run_id in names.items()}


@pytest.mark.parametrize(
    ("policy", "goes"),
    [
        (Policy(), {"old"}),
        (Policy(keep_finals=False), {"old", "final", "child", "parent"}),
        (Policy(keep_days=32), set()),
        (Policy(keep_days=0), {"old"}),
        (Policy(artifacts_only=True, keep_finals=False), {"old", "final", "parent"}),
    ],
)
def test_a_policy_chooses(aged, policy, goes):
    path, names = aged
    with closing(open_readonly(path)) as connection:
        assert {names[run.run_id] for run in expendable(connection, policy, NOW)} == goes


def test_what_goes_goes_with_its_files_and_the_rest_stays(aged):
    path, names = aged
    run_of = {name: run_id for run_id, name in names.items()}
    root = path.parent / "artifacts" / "store"
    (root / ".trash" / "then").mkdir(parents=True)
    (root / ".trash" / "then" / "junk").write_bytes(b"x" * 1000)
    (gone,) = collect(path, Policy(), NOW)
    assert (gone.run_id, gone.files, gone.bytes) == (run_of["old"], 2, 128)
    assert not (root / run_of["old"]).exists()
    assert (root / run_of["final"] / "fold0" / "heat.png").exists()
    assert not (root / ".trash").exists()
    with RunStore(path) as store:
        assert store.run_status(run_of["old"]) is None
        assert store.value("SELECT COUNT(*) FROM prediction WHERE run_id = ?", run_of["old"]) == 0
        assert store.value("SELECT COUNT(*) FROM run") == 5
    assert collect(path, Policy(), NOW) == []


def test_files_go_and_numbers_stay(aged):
    path, names = aged
    runs = collect(path, Policy(artifacts_only=True), NOW)
    assert [names[run.run_id] for run in runs] == ["old"]
    with RunStore(path) as store:
        assert store.load_predictions(runs[0].run_id).score.shape == (10, 2)
        with pytest.raises(StoreError, match="no artifact"):
            store.artifact_path(runs[0].run_id, "fold0/heat.png")
    assert not (path.parent / "artifacts" / "store" / runs[0].run_id).exists()


def test_a_policy_has_a_range():
    for days in (-1, float("nan")):
        with pytest.raises(ConfigError, match="--keep-days"):
            Policy(keep_days=days)


# The command


@pytest.fixture
def run(store_path, capsys):
    def call(*arguments, store=store_path):
        code = run_command(main, [*map(str, arguments), "--store", str(store)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_info_tells_what_is_there(store, fill, run):
    fill(store)
    code, out, _ = run("info")
    assert code == 0
    assert "data set tiny (multilabel, synthetic): 10 fruit, 10 labelled" in out
    assert "study quick (study-1), running: 1 complete" in out
    assert "best: baseline · resnet10_half · rgb+pressure, MCC 0.250" in out
    code, out, _ = run("info", "--json")
    facts = json.loads(out)
    assert facts["writer"]["purpose"] == "tests"
    assert facts["rows"]["prediction"] == 20
    assert facts["artifacts"] == {"files": 2, "bytes": 128}
    store.close()
    assert "written by: nobody now" in run("info")[1]


def test_doctor_says_what_it_found_and_did(store, fill, run, store_path):
    fill(store)
    store.finish_study("study-1", "complete", {})
    store.connection.execute("DELETE FROM metric WHERE fold IS NULL")
    store.close()
    assert run("doctor") == (0, f"{store_path}: sound\n", "")
    with closing(sqlite3.connect(store_path)) as connection:
        connection.execute("UPDATE defect_confusion SET tp = 99 WHERE fold = 0")
        connection.commit()
    code, out, _ = run("doctor")
    assert code == 1
    assert (
        "the confusion matrices of fold 0 are not those of the predictions (--fix would count them again)"
        in out
    )
    code, out, _ = run("doctor", "--json")
    assert (code, json.loads(out)["problems"][0]["kind"]) == (1, "confusion")
    code, out, _ = run("doctor", "--fix")
    assert code == 0
    assert out.startswith("repaired: confusion: run ")


def test_salvage_says_what_was_saved(store, fill, run, tmp_path):
    fill(store)
    store.close()
    code, out, _ = run("doctor", "--salvage", tmp_path / "saved.db")
    assert code == 0
    assert f"saved to {tmp_path / 'saved.db'}, with 2 artifacts" in out
    code, out, _ = run("doctor", "--salvage", tmp_path / "again.db", "--json")
    assert json.loads(out)["rows"]["run"] == 1


def test_backup_export_merge_and_gc_from_the_command_line(store, fill, run, tmp_path, store_path):
    fill(store, purpose="tune")
    store.close()
    code, out, _ = run("backup")
    assert code == 0
    (copy,) = store_path.parent.glob("store.db.*.bak")
    assert out.endswith(f"backed up to {copy}, verified\n")
    assert json.loads(run("backup", tmp_path / "copy.db", "--json")[1])["rows"]["run"] == 1
    code, out, _ = run("export", tmp_path / "tables", "--format", "csv", "--tables", "run, metric")
    assert (code, sorted(path.name for path in (tmp_path / "tables").iterdir())) == (
        0,
        ["metric.csv", "run.csv"],
    )
    code, out, _ = run("merge", store_path, store=tmp_path / "new" / "store.db")
    assert (code, out) == (
        0,
        f"{store_path}: 1 runs added, 0 replaced by a later state, 0 known; 2 artifacts\n",
    )
    assert (
        json.loads(run("merge", store_path, "--json", store=tmp_path / "new" / "store.db")[1])[0]["known"]
        == 1
    )
    code, out, _ = run("gc", "--keep-days", "0")
    assert (code, out.splitlines()[-1]) == (0, "would forget 1 runs, 2 files, 128 B; --yes does it")
    assert json.loads(run("gc", "--json", "--keep-days", "0")[1])["done"] is False
    assert run("gc", "--keep-days", "0", "--yes")[1].splitlines()[-1] == "forgot 1 runs, 2 files, 128 B"
    assert run("gc")[1] == "would forget 0 runs, 0 files, 0 B; --yes does it\n"


def test_what_is_refused_in_a_merge_shows_in_the_exit_code(store, fill, run, tmp_path, store_path):
    run_id = fill(store)
    store.artifact_path(run_id, "fold0/heat.png").unlink()
    store.close()
    code, out, _ = run("merge", store_path, store=tmp_path / "new.db")
    assert code == 1
    assert out.startswith(f"refused: run {run_id}, artifact 'fold0/heat.png': the file is missing\n")


@pytest.mark.parametrize(
    "arguments",
    [("info",), ("doctor",), ("doctor", "--fix"), ("export", "out"), ("backup",), ("gc",), ("gc", "--yes")],
)
@pytest.mark.parametrize("kind", ["missing", "text", "foreign"])
def test_unusable_stores_are_one_line_and_exit_2(run, tmp_path, monkeypatch, arguments, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "some.db"
    if kind == "text":
        path.write_text("not a store, not at all" * 50)
    if kind == "foreign":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE recipes (name TEXT)")
            connection.commit()
    code, out, err = run(*arguments, store=path)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert path.exists() == (kind != "missing")


def test_help_is_quick_and_lists_every_command():
    best = 9.0
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "backend.store", "--help"], capture_output=True, text=True, check=True
        )
        best = min(best, time.perf_counter() - start)
    for name in ("info", "doctor", "export", "merge", "backup", "gc"):
        assert name in done.stdout
    assert best < 0.3

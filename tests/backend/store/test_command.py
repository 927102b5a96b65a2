"""The command that looks after a store: what it says, and its exit codes."""

import json

import pytest

from backend.cli import run_command
from backend.store.__main__ import main


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
    out = run("info")[1]
    assert "written by: nobody now" in out
    assert "study quick (study-1), running but nothing runs it: 1 complete" in out


def test_doctor_says_what_it_found_and_did(store, fill, run, store_path, plant):
    fill(store)
    store.finish_study("study-1", "complete", {})
    store.connection.execute("DELETE FROM metric WHERE fold IS NULL")
    store.close()
    assert run("doctor") == (0, f"{store_path}: sound\n", "")
    plant(store_path, "UPDATE defect_confusion SET tp = 99 WHERE fold = 0")
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
    assert out.endswith(f"backed up to {copy}, verified; the files in artifacts/ stay where they are\n")
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
    note, total = run("gc", "--keep-days", "0", store=copy)[1].splitlines()[-2:]
    assert (note[:14], total) == ("2 files stay: ", "would forget 1 runs; --yes does it")
    assert run("gc", "--json", "--yes", "--keep-days", "0", store=copy)[1].count("2 files stay: ") == 1


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
@pytest.mark.parametrize("kind", ["missing", "empty", "text", "foreign"])
def test_unusable_stores_are_one_line_and_exit_2(run, tmp_path, monkeypatch, plant, arguments, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "some.db"
    if kind == "empty":
        path.touch()
    if kind == "text":
        path.write_text("not a store, not at all" * 50)
    if kind == "foreign":
        plant(path, "CREATE TABLE recipes (name TEXT)")
    code, out, err = run(*arguments, store=path)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert path.exists() == (kind != "missing")
    assert kind != "empty" or path.stat().st_size == 0


def test_a_path_that_the_system_refuses_is_one_line_and_exit_2(run, tmp_path):
    code, out, err = run("info", store=tmp_path / ("long" * 100))
    assert (code, out) == (2, "")
    assert err.endswith("longlong: File name too long; pass a shorter name\n")


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    for name in ("info", "doctor", "export", "merge", "backup", "gc"):
        assert name in out

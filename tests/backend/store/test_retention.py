"""What a policy lets go, and that the rest stays."""

import re
import shutil
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from backend.errors import ConfigError, StoreError
from backend.store.artifacts import checkpoint_root
from backend.store.connection import open_readonly
from backend.store.retention import Policy, collect, expendable
from backend.store.writer import RunStore

NOW = datetime(2030, 1, 1, tzinfo=UTC)


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
    (gone,), kept = collect(path, Policy(), NOW)
    assert kept == ""
    assert (gone.run_id, gone.files, gone.bytes) == (run_of["old"], 2, 128)
    assert not (root / run_of["old"]).exists()
    assert (root / run_of["final"] / "fold0" / "heat.png").exists()
    assert not (root / ".trash").exists()
    with RunStore(path) as store:
        assert store.run_status(run_of["old"]) is None
        assert store.value("SELECT COUNT(*) FROM prediction WHERE run_id = ?", run_of["old"]) == 0
        assert store.value("SELECT COUNT(*) FROM run") == 5
    assert collect(path, Policy(), NOW) == ([], "")


def test_files_go_and_numbers_stay(aged):
    path, names = aged
    runs, _ = collect(path, Policy(artifacts_only=True), NOW)
    assert [names[run.run_id] for run in runs] == ["old"]
    with RunStore(path) as store:
        assert store.load_predictions(runs[0].run_id).score.shape == (10, 2)
        with pytest.raises(StoreError, match="no artifact"):
            store.artifact_path(runs[0].run_id, "fold0/heat.png")
    assert not (path.parent / "artifacts" / "store" / runs[0].run_id).exists()


def test_checkpoints_that_nobody_goes_on_from_go_too(aged):
    path, names = aged
    run_of = {name: run_id for run_id, name in names.items()}
    folder = checkpoint_root(path)
    folder.mkdir(parents=True)
    for run_id in (run_of["old"], run_of["new"], run_of["child"], "a-run-of-nobody"):
        (folder / f"{run_id}-fold0.safetensors").touch()
    collect(path, Policy(), NOW)
    assert [file.name for file in folder.iterdir()] == [f"{run_of['child']}-fold0.safetensors"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("store.sqlite", r"store\.db beside store\.sqlite may need them.*move the copy"),
        (
            "store.db.then.bak",
            r"\d files stay: they are not in artifacts/store\.db\.then.*run gc on the store",
        ),
    ],
)
def test_a_copy_beside_the_store_takes_no_file_from_it(aged, name, reason):
    path, names = aged
    copy = path.with_name(name)
    shutil.copyfile(path, copy)
    root = path.parent / "artifacts" / "store"
    (root / ".trash" / "1970").mkdir(parents=True)
    (root / ".trash" / "1970" / "file").touch()
    checkpoint_root(path).mkdir(parents=True)
    (checkpoint_root(path) / "later-fold0.safetensors").touch()
    files = sorted(path.parent.rglob("*.*"))
    runs, kept = collect(copy, Policy(), NOW + timedelta(days=36_000))
    assert "old" in {names[run.run_id] for run in runs}
    assert re.search(reason, kept)
    assert [file for file in files if not file.exists()] == []


def test_a_policy_has_a_range():
    for days in (-1, float("nan"), float("inf"), 1e9):
        with pytest.raises(ConfigError, match="--keep-days"):
            Policy(keep_days=days)

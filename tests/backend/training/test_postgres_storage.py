"""Optuna's trials in a real PostgreSQL server, in a cluster of its own on loopback."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from backend.errors import ConfigError
from backend.training.plan import Plan
from backend.training.settings import BaselineStage
from backend.training.study import StudyOptions, run_study
from backend.training.tuning import open_storage

PLAN = Plan(
    name="tiny",
    folds=2,
    resolution=16,
    baseline=BaselineStage(trials=3, generation=2, tune_epochs=1, epochs=1, min_steps=0),
)


def owner() -> dict[str, str]:
    """PostgreSQL refuses to run as root: somebody else then does."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            pwd.getpwnam(name)
            return {"user": name}
    pytest.skip("no user beside root that could run PostgreSQL")


@pytest.fixture(scope="module")
def server():
    """The URL of a fresh server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="pip install -r requirements-cluster.txt")
    binaries, who = found[-1].parent, owner()
    folder = Path(tempfile.mkdtemp(prefix="avocado-postgres-"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    if who:
        shutil.chown(folder, who["user"])
    settings = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories={folder} -c fsync=off"

    def run(program: str, *arguments: str) -> None:
        command = [binaries / program, "-D", folder / "data", *arguments]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **who)

    try:
        run("initdb", "--username=avocado", "--auth=trust", "--no-sync")
        run("pg_ctl", "start", "--wait", "-o", settings, "-l", str(folder / "log"))
        yield f"postgresql://avocado@127.0.0.1:{port}/postgres"
        run("pg_ctl", "stop", "--mode=immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def options(folder, out, storage=""):
    return StudyOptions(
        folder, out / "store.db", out.parent / "cache", workers=0, device="cpu", storage=storage, quiet=True
    )


def trials(url, study_id):
    import optuna

    study = optuna.load_study(study_name=f"{study_id}/baseline", storage=open_storage(url))
    return [(trial.params, trial.value) for trial in study.get_trials()]


def test_a_search_in_postgresql_is_that_in_a_file_and_shared_by_drivers(multiclass_folder, tmp_path, server):
    alone = run_study(PLAN, options(multiclass_folder, tmp_path / "file"))
    first = run_study(PLAN, options(multiclass_folder, tmp_path / "first", server))
    in_file = trials(f"sqlite:///{tmp_path / 'file' / 'store.optuna.db'}", alone["study_id"])
    in_server = trials(server, first["study_id"])
    assert in_server == in_file
    assert len(in_file) == 3
    second = run_study(PLAN, options(multiclass_folder, tmp_path / "second", server))
    assert trials(server, first["study_id"]) == in_file
    assert first["runs"] == {"complete": 4}
    assert second["runs"] == {"complete": 1}  # the search was done: only the final run is left
    assert first["best"] == second["best"] == alone["best"]


def test_a_server_that_does_not_answer_is_one_line():
    pytest.importorskip("psycopg")
    with pytest.raises(ConfigError, match="--storage") as raised:
        open_storage("postgresql://avocado:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(raised.value)

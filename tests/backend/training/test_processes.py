"""What a driver leaves in the temporary folder goes, whoever has to take it away."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from backend.training import processes
from backend.training.processes import LOCK, LogFolder, describe_death

KILLED = """
import os, sys, tempfile
tempfile.tempdir = sys.argv[1]
from backend.training.processes import LogFolder
folder = LogFolder()
(folder.path / "worker-1.log").write_text("the last words")
print(folder.path, flush=True)
os._exit(9)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A temporary folder of our own, in which a driver was killed two hours ago."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path], capture_output=True, text=True, check=False
    )
    left = Path(done.stdout.strip())
    assert (left / "worker-1.log").exists()
    return left


def age(folder, hours=2.0):
    there = (folder / LOCK).stat().st_mtime - 3600 * hours
    os.utime(folder / LOCK, (there, there))


def test_the_next_driver_removes_what_a_killed_one_left(temporary):
    age(temporary)
    folder = LogFolder()
    assert not temporary.exists()
    assert folder.path.exists()
    folder.close()
    folder.close()
    assert not folder.path.exists()


def test_a_driver_that_lives_keeps_its_folder_however_old(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first = LogFolder()
    age(first.path, hours=100)
    LogFolder().close()
    assert first.path.exists()
    first.close()


def test_what_is_young_foreign_or_no_such_folder_stays(temporary, tmp_path, monkeypatch):
    LogFolder().close()
    assert temporary.exists(), "its driver may be about to take the lock"
    age(temporary)
    link = tmp_path / f"{processes.FOLDER}link"
    link.symlink_to(temporary)
    bare = tmp_path / f"{processes.FOLDER}bare"
    bare.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: os.geteuid() + 1)
        LogFolder().close()
    assert temporary.exists()
    LogFolder().close()
    assert not temporary.exists()
    assert link.is_symlink()
    assert bare.exists()


@pytest.mark.parametrize(
    ("code", "words"),
    [(3, "exit code 3"), (-9, "SIGKILL (killed from outside: out of memory?)"), (-11, "SIGSEGV")],
)
def test_a_death_has_a_reason(code, words):
    assert describe_death(code) == words

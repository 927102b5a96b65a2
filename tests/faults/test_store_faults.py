"""What must not hurt a store: kill -9, a full disk, crowds of readers, flipped bytes.

The long versions: ``AVOCADO_FAULT_SECONDS=600 AVOCADO_KILLS=25 AVOCADO_DRIVEN=2000 pytest
tests/faults/test_store_faults.py --timeout 1800``.
"""

import importlib.util
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.errors import StoreError
from backend.store.doctor import examine
from backend.store.salvage import salvage
from backend.store.writer import RunStore

SCRIPT = Path(__file__).with_name("store_process.py")
SECONDS = float(os.environ.get("AVOCADO_FAULT_SECONDS", "2"))
KILLS = int(os.environ.get("AVOCADO_KILLS", "6"))
RUNS = max(12, 4 * KILLS)
DRIVEN = int(os.environ.get("AVOCADO_DRIVEN", "60"))


def load_script():
    spec = importlib.util.spec_from_file_location("store_process", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


process = load_script()


def spawn(store, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, SCRIPT, store, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed") / "store.db"
    process.write(path, RUNS)
    return path


def test_kill_9_loses_no_finished_fold_and_changes_no_number(tmp_path, undisturbed):
    store = tmp_path / "store.db"
    rng = random.Random(6)
    reported: set[str] = set()
    kills = 0
    for _ in range(4 * KILLS):
        victim = spawn(store, "write", RUNS)
        if kills < KILLS:
            # Wait for a few commits, then strike somewhere inside the next ones.
            reported.update(victim.stdout.readline().strip() for _ in range(rng.randint(0, 4)))
            time.sleep(rng.random() * 0.02)
            victim.kill()
            kills += 1
        out, err = victim.communicate()
        reported.update(line for line in out.splitlines() if line.count(" ") == 1)
        assert "Traceback" not in err, err
        if not store.exists():
            continue
        if victim.returncode == 0:
            break
        process.digest(store)  # sound each time
    assert kills == KILLS
    assert victim.returncode == 0
    with RunStore(store) as opened:
        folds = {f"{row[0]} {row[1]}" for row in opened.rows("SELECT run_id, fold FROM run_fold")}
        assert len(folds) == RUNS * process.N_FOLDS
        assert reported - {""} <= folds
    assert process.digest(store) == process.digest(undisturbed)


@pytest.mark.parametrize("pause", [0.05, 0.0])
def test_readers_and_a_writer_do_not_hinder_each_other(tmp_path, pause):
    """Eight readers look twenty times a second each, or without a pause, which leaves the writer no core."""
    store = tmp_path / "store.db"
    process.write(store, 2)
    readers = [spawn(store, "read", SECONDS, pause) for _ in range(8)]
    commits = []
    with RunStore(store) as writer:
        run_id = writer.value("SELECT run_id FROM run")
        end = time.monotonic() + SECONDS
        fold = 0
        while time.monotonic() < end:
            bundle = process.bundle(0, fold % process.N_FOLDS)
            before = time.perf_counter()
            writer.write_fold(run_id, bundle)
            commits.append(time.perf_counter() - before)
            fold += 1
            time.sleep(0.01)
    for reader in readers:
        out, err = reader.communicate(timeout=60)
        assert (reader.returncode, err) == (0, "")
        assert int(out) > 0
    assert len(commits) > 10
    p99 = sorted(commits)[int(len(commits) * 0.99)]
    print(f"{len(commits)} commits, 99 of 100 within {p99 * 1000:.0f} ms")
    assert p99 < 0.05 or SECONDS < 60


def test_a_full_disk_stops_with_one_line_and_goes_on_to_the_same_numbers(tmp_path, undisturbed, small_disk):
    disk = tmp_path / "disk"
    size = f"{max(12, RUNS // 4)}m"  # less than a store of that many runs needs with everything else on it
    done = small_disk(disk, size, f"{sys.executable} {SCRIPT} {disk / 'store.db'} full {RUNS}")
    assert done.returncode == 0, done.stderr
    met = done.stderr.splitlines()
    assert len(met) > 10
    assert all(line.startswith("met: ") and ("disk" in line or "space" in line) for line in met), met
    assert done.stdout.splitlines()[-1] == process.digest(undisturbed)


def test_a_read_only_disk_is_read_and_refuses_to_be_written(tmp_path, undisturbed, small_disk):
    disk = tmp_path / "disk"
    command = f"{sys.executable} {SCRIPT} {disk / 'store.db'}"
    copy = f"cp -r {undisturbed} {undisturbed.parent / 'artifacts'} {disk} && mount -o remount,ro {disk}"
    care = f"{sys.executable} -m backend.store"
    backup = f"{care} backup --store {disk / 'store.db'} {tmp_path / 'backup.db'}"
    saved = f"{care} doctor --store {disk / 'store.db'} --salvage {tmp_path / 'saved.db'}"
    script = f"{copy} && {backup} && {saved} && {command} digest && {command} write 1"
    done = small_disk(disk, "20m", script)
    assert done.stdout.splitlines()[-1] == process.digest(undisturbed)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert process.digest(tmp_path / "saved.db")
    assert (tmp_path / "backup.db").stat().st_size


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_the_memory_of_a_driver_stays_flat(tmp_path):
    """Over as many runs as a night makes, in the long version."""
    driver = spawn(tmp_path / "store.db", "drive", DRIVEN)
    out, err = driver.communicate(timeout=1200)
    assert driver.returncode == 0, err
    early, late = map(int, out.split())
    assert late < 1.05 * early, f"{early} kB after {DRIVEN // 5} runs, {late} kB after {DRIVEN}"


@pytest.mark.parametrize("limit", [15_000, 90_000, 400_000])
def test_a_file_that_may_not_grow_gives_one_line(tmp_path, undisturbed, limit):
    store = tmp_path / "store.db"
    victim = spawn(
        store, "write", RUNS, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    _, err = victim.communicate(timeout=60)
    assert victim.returncode == 2, err
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    process.write(store, RUNS)
    assert process.digest(store) == process.digest(undisturbed)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "store.db"
    process.write(path, 1)
    return path


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_flipped_bytes_never_end_in_a_traceback(small, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("flipped")
    store, content = folder / "store.db", bytearray(small.read_bytes())
    for _ in range(data.draw(st.integers(1, 30))):
        where = data.draw(st.integers(0, len(content) - 1))
        content[where] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    store.write_bytes(content)
    try:
        problems = examine(store)
    except StoreError as error:
        problems = [error]
    try:
        saved = salvage(store, folder / "saved.db")
    except StoreError:
        return
    assert saved.rows["run"] <= 1
    assert problems or not saved.damaged
    assert not [p for p in examine(folder / "saved.db") if p.kind in ("corrupt", "reference")]
    shutil.rmtree(folder)

"""There is one writer, and a dead one keeps nobody out."""

import json
import multiprocessing
import os
import subprocess
import sys
import time

import pytest

from backend.errors import StoreError
from backend.store.locking import StoreLock, lock_holder, lock_path, writer_was_killed
from backend.store.writer import RunStore


def test_a_second_writer_is_told_who_is_first(store, store_path):
    with pytest.raises(
        StoreError, match=rf"another writer has the store: process {os.getpid()} on .*\(tests\)"
    ):
        RunStore(store_path)
    assert lock_holder(store_path)["purpose"] == "tests"
    store.close()
    store.close()
    assert lock_holder(store_path) is None
    RunStore(store_path).close()


def test_a_crash_releases_the_lock(store_path):
    code = (
        "import os, sys; from backend.store.writer import RunStore\n"
        "store = RunStore(sys.argv[1], 'victim'); print('ready', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(store_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    with pytest.raises(StoreError, match=rf"process {process.pid} on .*\(victim\)"):
        RunStore(store_path)
    assert not writer_was_killed(store_path)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert writer_was_killed(store_path), "before its parent has taken note"
    process.communicate()
    assert writer_was_killed(store_path)
    with RunStore(store_path):
        assert not writer_was_killed(store_path)
    assert not writer_was_killed(store_path)


def test_only_a_writer_of_this_place_can_be_known_to_be_gone(store, store_path):
    lock = lock_path(store_path)
    assert not writer_was_killed(store_path)
    alive = json.loads(lock.read_text())
    lock.write_text(json.dumps(alive | {"started": "1"}))
    assert writer_was_killed(store_path), "another process has its number by now"
    for other in ({"place": "another boot"}, {"place": ""}):
        lock.write_text(json.dumps(alive | {"started": "1"} | other))
        assert not writer_was_killed(store_path)


def test_whoever_left_in_order_was_not_killed(store, store_path, tmp_path):
    store.close()
    assert lock_path(store_path).read_text() == ""
    assert not writer_was_killed(store_path)
    assert not writer_was_killed(tmp_path / "none.db")


def test_a_forked_worker_does_not_keep_the_lock(tmp_path):
    store = tmp_path / "store.db"
    lock = StoreLock(store)
    context = multiprocessing.get_context("fork")
    event = context.Event()
    worker = context.Process(target=event.wait, args=(20,))
    worker.start()
    try:
        time.sleep(0.05)
        lock.release()
        StoreLock(store).release()
    finally:
        event.set()
        worker.join()


def test_an_unreadable_lock_file_is_no_obstacle(tmp_path):
    store = tmp_path / "store.db"
    lock_path(store).write_text("not json")
    assert lock_holder(store) is None
    lock = StoreLock(store)
    lock_path(store).write_text("[]")
    with pytest.raises(StoreError, match="another writer"):
        StoreLock(store)
    lock.release()

"""A cache is whole or absent, whatever the disk, other builders and broken images do."""

import errno
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from backend.data import cache_build, parallel
from backend.data.cache import open_cache
from backend.data.cache_layout import data_file
from backend.data.manifest import read_dataset
from backend.errors import DataError


def test_more_processes_make_the_same_cache(folder, opened, tmp_path, monkeypatch):
    alone = opened(folder, workers=1)
    monkeypatch.setattr(parallel, "IMAGES_PER_WORKER", 1)
    monkeypatch.setattr(cache_build, "_SLICE_IMAGES", 8)
    together = opened(folder, cache_dir=tmp_path / "other", workers=2)
    for modality in ("rgb", "nir"):
        np.testing.assert_array_equal(alone.batch(range(13), modality), together.batch(range(13), modality))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_broken_image_is_named_and_leaves_nothing(folder, opened, caches, monkeypatch, workers):
    monkeypatch.setattr(parallel, "IMAGES_PER_WORKER", 1)
    path = folder.root / "images/rgb-5-2.png"
    path.write_bytes(path.read_bytes()[:80])
    with pytest.raises(DataError) as caught:
        opened(folder, workers=workers)
    assert "manifest.csv row 7, column image:rgb:2: 'images/rgb-5-2.png': unreadable image" in str(
        caught.value
    )
    assert caches() == []


@pytest.mark.parametrize("call", ["pwritev", "posix_fallocate", "fsync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    folder, opened, caches, cache_dir, monkeypatch, call, code
):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(DataError) as caught:
        opened(folder)
    full = code != errno.EIO
    assert ("disk full while writing the image cache" in str(caught.value)) == full
    assert str(cache_dir) in str(caught.value)
    assert caches() == []
    monkeypatch.undo()
    assert len(opened(folder)) == 13


def test_a_disk_that_really_refuses(folder, caches, cache_dir):
    """A limit on file sizes makes the kernel refuse the write, as a full disk does."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from backend.cli import run_command\n"
        "from backend.data.cache import open_cache\n"
        "from backend.data.manifest import read_dataset\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "def main(argv): open_cache(read_dataset(Path(argv[0])), 64, Path(argv[1])); return 0\n"
        "sys.exit(run_command(main, sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", script, str(folder.write()), str(cache_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "disk full while writing the image cache" in done.stderr
    assert done.stderr.count("\n") == 1
    assert caches() == []


def test_a_disk_that_takes_only_part_of_a_write(folder, opened, tmp_path, monkeypatch):
    expected = opened(folder).batch(range(13), "rgb")
    write = os.pwrite
    monkeypatch.setattr(os, "pwritev", lambda file, parts, at: write(file, parts[0][:100], at))
    np.testing.assert_array_equal(
        opened(folder, cache_dir=tmp_path / "other").batch(range(13), "rgb"), expected
    )


def test_a_folder_that_cannot_be_made_is_one_line(folder, opened, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write the image cache"):
        opened(folder, cache_dir=tmp_path / "file")


def test_what_a_killed_builder_left_is_removed(folder, opened, caches):
    cache = opened(folder)
    stale = cache.folder.rename(cache.folder.with_name(f"{cache.folder.name}.tmp"))
    (stale / data_file("nir")).write_bytes(b"half")
    again = opened(folder)
    assert again.batch(range(13), "nir").any()
    assert caches() == [again.folder.name]


@pytest.mark.parametrize("damage", ["rgb.u8", "rgb.present.npy", "cache.json"])
def test_a_damaged_cache_is_built_again(folder, opened, damage):
    cache = opened(folder)
    expected = cache.batch(range(13), "rgb")
    if damage.endswith("npy"):
        (cache.folder / damage).unlink()
    else:
        os.truncate(cache.folder / damage, 10)
    np.testing.assert_array_equal(opened(folder).batch(range(13), "rgb"), expected)


def test_two_builders_at_once_decode_once(folder, cache_dir, monkeypatch):
    dataset = read_dataset(folder.write())
    decoded, decode = [], cache_build.decode_image

    def slow(path, *how):
        decoded.append(path)
        return decode(path, *how)

    monkeypatch.setattr(cache_build, "decode_image", slow)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(open_cache(dataset, 8, cache_dir, progress=False)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(decoded) == len(set(decoded)) == 13 * 3
    assert len({cache.batch(range(13), "rgb").tobytes() for cache in results}) == 1
    assert len(results) == 4

"""The fingerprint changes with everything that changes results, and is remembered between starts."""

import hashlib
import os
from pathlib import Path

import pytest
from PIL import Image

from backend.data.fingerprint import FileHashes
from backend.data.manifest import read_dataset
from backend.errors import DataError


def age(root, seconds: float = 60) -> None:
    """Set every file's time back, past the moment in which a change could go unseen."""
    for path in root.rglob("*"):
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - int(seconds * 1e9)))


@pytest.fixture
def forget_how_to_hash(monkeypatch):
    def fail(*_):
        raise AssertionError("a file was read again")

    return lambda: monkeypatch.setattr(hashlib, "file_digest", fail)


def test_the_same_content_elsewhere_has_the_same_id(new_folder):
    one, two = (read_dataset(new_folder(name=name).write()) for name in ("one", "two"))
    assert (one.dataset_id, one.label_version) == (two.dataset_id, two.label_version)


CHANGES = [
    lambda folder: folder.set(2, "defect:rot", "1"),
    lambda folder: folder.set(2, "group", "g1"),
    lambda folder: folder.set(2, "pressure:tap", "9"),
    lambda folder: folder.set(2, "image:rgb:1", ""),
    lambda folder: folder.rows.reverse(),
    lambda folder: setattr(folder, "toml", folder.toml.replace("2.5", "2.6")),
    lambda folder: Image.new("RGB", (12, 12)).save(folder.root / "images/rgb-0-1.png"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_content_changes_the_id(folder, change):
    before = read_dataset(folder.write()).dataset_id
    change(folder)
    assert read_dataset(folder.write()).dataset_id != before


def test_comments_do_not_change_the_id(folder):
    before = read_dataset(folder.write()).dataset_id
    folder.toml = "# a note\n" + folder.toml
    assert read_dataset(folder.write()).dataset_id == before


def test_label_version_follows_labels_alone(folder):
    before = read_dataset(folder.write()).label_version
    folder.rows.reverse()
    folder.set(4, "pressure:tap", "")
    assert read_dataset(folder.write()).label_version == before
    folder.set(4, "defect:rot", "")
    assert read_dataset(folder.write()).label_version != before


def test_a_second_start_reads_no_image(folder, tmp_path, forget_how_to_hash):
    age(folder.write())
    first = read_dataset(folder.root, cache_dir=tmp_path / "cache")
    forget_how_to_hash()
    assert read_dataset(folder.root, cache_dir=tmp_path / "cache").dataset_id == first.dataset_id


def test_only_a_changed_file_is_read_again(folder, tmp_path, monkeypatch):
    age(folder.write())
    first = read_dataset(folder.root, cache_dir=tmp_path / "cache").dataset_id
    Image.new("RGB", (12, 12)).save(folder.root / "images/rgb-0-1.png")
    read, digest = [], hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, how: read.append(file.name) or digest(file, how))
    assert read_dataset(folder.root, cache_dir=tmp_path / "cache").dataset_id != first
    assert [Path(name).name for name in read] == ["rgb-0-1.png"]


def test_a_file_changed_this_moment_is_not_remembered(tmp_path):
    """Same size and, on a coarse clock, same time: only reading it again finds the second change."""
    file = tmp_path / "a.png"
    hashes = FileHashes(tmp_path, tmp_path / "cache")
    results = []
    for content in (b"one", b"two"):
        time = file.stat().st_mtime_ns if file.exists() else None
        file.write_bytes(content)
        if time:
            os.utime(file, ns=(time, time))
        results.append(hashes.digests(["a.png"])[0]["a.png"])
    assert results[0] != results[1]


@pytest.mark.parametrize("damage", [lambda raw: raw[:-5], lambda raw: b"", lambda raw: b"x" + raw[1:]])
def test_a_damaged_memo_is_ignored(folder, tmp_path, damage):
    age(folder.write())
    cache = tmp_path / "cache"
    first = read_dataset(folder.root, cache_dir=cache).dataset_id
    (memo,) = cache.iterdir()
    memo.write_bytes(damage(memo.read_bytes()))
    assert read_dataset(folder.root, cache_dir=cache).dataset_id == first


def test_a_folder_that_cannot_hold_the_memo_costs_time_only(folder, tmp_path):
    age(folder.write())
    (tmp_path / "file").touch()
    assert read_dataset(folder.root, cache_dir=tmp_path / "file").dataset_id


def test_an_unreadable_image_is_named(folder, monkeypatch):
    def fail(file, _):
        if file.name.endswith("nir-3-1.png"):
            raise PermissionError(13, "Permission denied")
        return hashlib.blake2b(b"", digest_size=16)

    monkeypatch.setattr(hashlib, "file_digest", fail)
    with pytest.raises(DataError, match=r"row 5, column image:nir:1: .*nir-3-1.png.*Permission denied"):
        read_dataset(folder.write())

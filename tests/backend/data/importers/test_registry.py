"""Kinds, options, and what every import has in common."""

import json
import os
import subprocess
import sys

import pytest

from backend.data.importers import KINDS, import_dataset
from backend.data.importers.common import IdMaker
from backend.data.importers.source import source_fingerprint
from backend.errors import ConfigError, DataError


def test_the_kinds_of_the_contract_are_there():
    assert set(KINDS) >= {"folder", "riseholme", "mnist", "fashion-mnist", "cifar10", "sku110k"}
    assert all(KINDS.values())


def test_listing_the_kinds_loads_nothing_heavy():
    heavy = ("numpy", "torch", "torchvision", "sklearn", "pandas", "PIL", "scipy")
    code = f"import sys, backend.data.importers; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_kind_or_option_lists_the_valid_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown kind 'imagenet'.*cifar10, fashion-mnist, folder"):
        import_dataset("imagenet", ".", tmp_path / "out")
    with pytest.raises(ConfigError, match=r"unknown option 'limit'.*healthy"):
        import_dataset("folder", ".", tmp_path / "out", limit=3)
    with pytest.raises(ConfigError, match=r"unknown option 'limit'.*none"):
        import_dataset("riseholme", ".", tmp_path / "out", limit=3)


@pytest.mark.parametrize("kind", ["folder", "riseholme", "sku110k"])
def test_a_missing_source_is_one_clear_line_and_leaves_nothing(tmp_path, kind):
    with pytest.raises(DataError, match=r"no such folder|no annotation"):
        import_dataset(kind, str(tmp_path / "nowhere"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_folder_is_refused_before_the_source_is_read(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    with pytest.raises(DataError, match="did not make"):
        import_dataset("folder", str(tmp_path / "nowhere"), tmp_path / "out")


def test_the_same_import_again_does_nothing(tmp_path, save_picture, capsys):
    for label in ("good", "bad"):
        save_picture(tmp_path / "src" / label / "a.png")
    for _ in range(2):
        import_dataset("folder", str(tmp_path / "src"), tmp_path / "out", progress=False, healthy=None)
    assert "already holds" in capsys.readouterr().err
    with pytest.raises(DataError, match="another data set"):
        import_dataset("folder", str(tmp_path / "src"), tmp_path / "out", healthy="bad")


@pytest.fixture
def imported(tmp_path, save_picture):
    """A source of two pictures that was imported before, as a function that imports it again."""
    for number, label in enumerate(("good", "bad")):
        save_picture(tmp_path / "src" / label / "a.png", number)

    def again():
        import_dataset("folder", str(tmp_path / "src"), tmp_path / "out", progress=False)

    again()
    return again


def test_a_source_that_has_changed_since_is_noticed(imported, tmp_path, save_picture):
    save_picture(tmp_path / "src" / "bad" / "b.png", 2)
    with pytest.raises(
        DataError, match=r"source that has changed since \(then 2 files.* now 3 files.*delete"
    ):
        imported()


def test_a_source_that_has_gone_and_a_recipe_without_its_state_count_as_the_same(imported, tmp_path, capsys):
    (tmp_path / "src").rename(tmp_path / "gone")
    imported()
    (tmp_path / "gone").rename(tmp_path / "src")
    (tmp_path / "src" / "bad" / "b.png").touch()
    file = tmp_path / "out" / "recipe.json"
    recipe = json.loads(file.read_text())
    del recipe["source_state"]
    file.write_text(json.dumps(recipe))
    imported()
    assert capsys.readouterr().err.count("already holds exactly this") == 2


def test_a_fingerprint_tells_what_came_went_moved_and_changed(tmp_path):
    assert source_fingerprint(tmp_path / "src") == ""
    (tmp_path / "src" / "good").mkdir(parents=True)
    (tmp_path / "src" / "bad").mkdir()
    file, other = tmp_path / "src" / "good" / "a.png", tmp_path / "src" / "b.png"
    file.write_text("abc")
    assert source_fingerprint(file).startswith("1 files, 3 bytes, ")
    found = [source_fingerprint(tmp_path / "src")]
    (tmp_path / "src" / ".DS_Store").touch()
    (tmp_path / "src" / "round").symlink_to(tmp_path / "src")
    (tmp_path / "src" / "nowhere").symlink_to("nothing")
    assert source_fingerprint(tmp_path / "src") == found[0]
    for change in (
        other.touch,
        lambda: file.rename(tmp_path / "src" / "bad" / "a.png"),
        lambda: os.utime(other, ns=(0, 0)),
        other.unlink,
    ):
        change()
        found.append(source_fingerprint(tmp_path / "src"))
    assert len(set(found)) == 5


@pytest.mark.parametrize("place", ["src", "src/out", "src/new/deep/../out"])
def test_nothing_is_made_inside_the_source(tmp_path, save_picture, place):
    save_picture(tmp_path / "src" / "good" / "a.png")
    with pytest.raises(DataError, match="lies inside the source"):
        import_dataset("folder", str(tmp_path / "src"), tmp_path / place)
    assert [path.name for path in (tmp_path / "src").iterdir()] == ["good"]


def test_a_name_that_no_file_may_have_is_one_clear_line(tmp_path, save_picture):
    save_picture(tmp_path / "src" / "good" / "a.png")
    with pytest.raises(DataError, match=r"nnn: cannot write \(File name too long\)"):
        import_dataset("folder", str(tmp_path / "src"), tmp_path / ("n" * 300))
    with pytest.raises(DataError, match=r"nnn: cannot be read \(File name too long\)"):
        import_dataset("folder", "n" * 300, tmp_path / "out")


def test_ids_fit_the_contract_and_never_collide():
    make_id = IdMaker()
    assert make_id("train", "good", "a b ü") == "train-good-a_b_"
    assert make_id("a") == "a"
    second = make_id("a")
    assert second.startswith("a-")
    long = make_id("x" * 100)
    assert len(long) == 64
    assert len({long, make_id("x" * 101), second}) == 3
    assert len({"a", second, make_id("a"), make_id("a")}) == 4

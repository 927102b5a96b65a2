"""Kinds, options, and what every import has in common."""

import subprocess
import sys

import pytest

from backend.data.importers import KINDS, import_dataset
from backend.data.importers.common import IdMaker
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


def test_ids_fit_the_contract_and_never_collide():
    make_id = IdMaker()
    assert make_id("train", "good", "a b ü") == "train-good-a_b_"
    assert make_id("a") == "a"
    second = make_id("a")
    assert second.startswith("a-")
    long = make_id("x" * 100)
    assert len(long) == 64
    assert len({long, make_id("x" * 101), second}) == 3

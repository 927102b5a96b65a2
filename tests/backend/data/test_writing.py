"""Folders are made whole or not at all, and nothing foreign is touched."""

import errno
import json
import tomllib

import pytest

from backend.data.dataset import Defect
from backend.data.spec import Spec
from backend.data.writing import already_made, new_folder, write_csv, write_spec
from backend.errors import DataError

RECIPE = {"kind": "test", "seed": 1}


def make(out):
    with new_folder(out, RECIPE) as folder:
        (folder / "manifest.csv").write_text("fruit_id\n")


def test_a_folder_appears_whole_with_its_recipe(tmp_path):
    out = tmp_path / "deep" / "set"
    make(out)
    assert (out / "manifest.csv").exists()
    assert json.loads((out / "recipe.json").read_text()) == RECIPE
    assert [path.name for path in out.parent.iterdir()] == ["set"]
    assert out.stat().st_mode & 0o055  # others may read it, as with any new folder


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "set").mkdir()
    assert not already_made(tmp_path / "set", RECIPE)
    make(tmp_path / "set")
    assert (tmp_path / "set" / "manifest.csv").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_when_it_fails(tmp_path, error):
    with pytest.raises(error), new_folder(tmp_path / "set", RECIPE) as folder:
        (folder / "half").write_text("x")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_clear_line(tmp_path):
    with pytest.raises(DataError, match="free some space"), new_folder(tmp_path / "set", RECIPE):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_cannot_be_read_is_not_called_a_write_error(tmp_path):
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "set", RECIPE):
        (tmp_path / "nowhere").read_text()


def test_a_parent_that_is_a_file_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot write"), new_folder(tmp_path / "file" / "set", RECIPE):
        pass


def test_the_same_recipe_is_a_no_op_and_says_so(tmp_path, capsys):
    make(tmp_path / "set")
    assert already_made(tmp_path / "set", RECIPE)
    assert "already holds exactly this" in capsys.readouterr().err


def test_another_recipe_foreign_files_and_a_file_are_refused(tmp_path):
    make(tmp_path / "set")
    with pytest.raises(DataError, match=r"another data set .*seed 1"):
        already_made(tmp_path / "set", {**RECIPE, "seed": 2})
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_text("x")
    with pytest.raises(DataError, match="did not make"):
        already_made(tmp_path / "photos", RECIPE)
    (tmp_path / "photos" / "recipe.json").write_text("[1]")
    with pytest.raises(DataError, match="did not make"):
        already_made(tmp_path / "photos", RECIPE)
    with pytest.raises(DataError, match="is a file"):
        already_made(tmp_path / "photos" / "cat.png", RECIPE)


def test_dataset_toml_reads_back(tmp_path):
    spec = Spec(
        'a "name"', "multilabel", "a-quality", True, "two\nlines\\", "CC0", "here",
        (Defect("rot", "internal", 1.5, 0.25), Defect("scar", "external")),
    )  # fmt: skip
    write_spec(tmp_path, spec)
    content = tomllib.loads((tmp_path / "dataset.toml").read_text(encoding="utf-8"))
    assert content["name"] == 'a "name"'
    assert content["synthetic"] is True
    assert content["description"] == "two\nlines\\"
    assert content["defect"][0] == {
        "name": "rot",
        "kind": "internal",
        "cost_miss": 1.5,
        "cost_false_alarm": 0.25,
    }


def test_csv_has_unix_line_ends_and_empty_cells(tmp_path):
    write_csv(tmp_path / "t.csv", ["a", "b"], [[1, None], ["ü,", ""]])
    assert (tmp_path / "t.csv").read_bytes() == 'a,b\n1,\n"ü,",\n'.encode()

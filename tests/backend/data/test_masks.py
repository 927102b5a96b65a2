"""Masks of synthetic fruit are read as they were drawn, and a damaged table is refused in one line."""

import numpy as np
import pytest
from PIL import Image

from backend.data.check import check_dataset
from backend.data.manifest import read_dataset
from backend.data.masks import read_masks
from backend.data.synth.planted import make_planted
from backend.errors import DataError


@pytest.fixture
def planted(tmp_path):
    make_planted(tmp_path / "set", 12, seed=1, spec={"a": "nir", "c": "rgb:2"}, size=32, progress=False)
    return tmp_path / "set"


def test_a_mask_for_each_view_that_shows_the_defect(planted):
    dataset = read_dataset(planted)
    masks = read_masks(dataset)
    has_c = {name for name, row in zip(dataset.fruit_ids, dataset.labels, strict=True) if row[1] == 1}
    assert len(masks) > len(has_c) > 0
    for fruit in dataset.fruit_ids:
        assert masks.has(fruit, "c") == (fruit in has_c)
        assert set(masks.load(fruit, "c", 32)) == ({"2"} if fruit in has_c else set())
    fruit = min(has_c)
    (file,) = (planted / "masks").glob(f"c/*/{fruit}-2.png")
    with Image.open(file) as picture:
        drawn = np.asarray(picture)
    np.testing.assert_array_equal(masks.load(fruit, "c", 32)["2"], drawn)
    small = masks.load(fruit, "c", 16)["2"]
    assert small.shape == (16, 16)
    assert 0.7 < 4 * small.sum() / drawn.sum() < 1.6


def test_a_data_set_without_masks_has_none(multilabel_folder):
    masks = read_masks(read_dataset(multilabel_folder))
    assert len(masks) == 0
    assert masks.load("f001", "rot", 16) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fruit,where\n", "columns 'fruit, where'"),
        ("", "empty"),
        ("fruit_id,defect,view,path\nf0,a,1\n", "row 2.*3 cells"),
        ("fruit_id,defect,view,path\nf0,a,1,../../etc/passwd\n", "row 2.*leaves"),
        ("fruit_id,defect,view,path\nf0,a,1,masks/none.png\n", "row 2.*missing"),
    ],
)
def test_a_damaged_table_is_refused(planted, text, words):
    (planted / "masks.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        read_masks(read_dataset(planted))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("f99,rot,1,m.png", "error: masks.csv row 2, fruit_id: 'f99' is not in the manifest"),
        ("f0,blight,1,m.png", "error: masks.csv row 2, defect: 'blight' is not in the manifest"),
        ("f0,rot,7,m.png", "error: masks.csv row 2, view: '7' is not in the manifest"),
        ("f0,rot,1,no.png", "error: masks.csv row 2: missing image 'no.png'"),
        ("f0,rot", "error: masks.csv row 2: 2 cells; expected 4"),
        ("f0,rot,1,no.txt", "error: masks.csv row 2, path: 'no.txt': not an image"),
        (
            "f0,rot,1,m.png\nf0,rot,2,m.png\nf0,rot,1,m.png",
            "error: masks.csv row 4: fruit, defect and view are",
        ),
    ],
)
def test_the_check_names_masks_of_nothing(folder, row, words):
    Image.new("L", (8, 8)).save(folder.root / "m.png")
    (folder.root / "no.txt").write_text("no picture")
    table = folder.root / "masks.csv"
    table.write_text("\ufefffruit_id,defect,view,path\nf0,rot,2,m.png\n", encoding="utf-8")
    assert check_dataset(folder.write(), folds=5) == []
    table.write_text(f"fruit_id,defect,view,path\n{row}\n", encoding="utf-8")
    (problem,) = check_dataset(folder.root, folds=5)
    assert str(problem).startswith(words)


def test_masks_of_fruit_that_are_not_labelled_with_the_defect_are_pointed_out(folder):
    """Of synthetic fruit, as ``folder`` says its are, labels err on purpose."""
    Image.new("L", (8, 8)).save(folder.root / "m.png")
    rows = "\n".join(f"{fruit},rot,1,m.png" for fruit in ("f1", "f2", "f3", "f12"))
    (folder.root / "masks.csv").write_text(f"fruit_id,defect,view,path\n{rows}\n")
    assert check_dataset(folder.write(), folds=5) == []
    folder.toml = folder.toml.replace("synthetic = true", "synthetic = false")
    (problem,) = check_dataset(folder.write(), folds=5)
    assert str(problem) == (
        "warning: masks.csv: 2 masks of fruit that are not labelled with the defect, the first in row 3; "
        "correct the labels or remove the rows"
    )


def test_masks_are_not_opened_where_only_the_text_files_are_looked_at(folder):
    (folder.root / "m.png").write_text("no picture")
    (folder.root / "masks.csv").write_text("fruit_id,defect,view,path\nf1,rot,1,m.png\n")
    assert len(check_dataset(folder.write())) == 1
    assert check_dataset(folder.root, images=False) == []


def test_the_check_refuses_another_table(folder):
    (folder.root / "masks.csv").write_text("fruit,mask\n")
    (problem,) = check_dataset(folder.write(), folds=5)
    assert str(problem) == ("error: masks.csv: columns 'fruit, mask'; expected fruit_id, defect, view, path")


def test_a_damaged_mask_says_which_file(planted):
    masks = read_masks(read_dataset(planted))
    file = next((planted / "masks/c").rglob("*.png"))
    file.write_bytes(b"no picture")
    with pytest.raises(
        DataError, match=rf"{file.name}: not an image; .*; replace the file or remove its row"
    ):
        masks.load(file.name.split("-")[0], "c", 32)

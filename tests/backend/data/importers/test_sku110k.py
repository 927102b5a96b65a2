"""Crops from annotation CSVs, grouped by the picture they come from."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from backend.data.importers import import_dataset
from backend.data.manifest import read_dataset
from backend.errors import ConfigError, DataError

HEADER = "image_name,x1,y1,x2,y2,class,image_width,image_height\n"


@pytest.fixture
def source(tmp_path, save_picture):
    folder = tmp_path / "sku"
    for part, offset in (("train", 0), ("val", 10), ("test", 20)):
        lines = []
        for i in range(2):
            name = f"{part}_{i}.png"
            save_picture(folder / "images" / name, offset + i, size=(100, 80))
            lines += [f"{name},{x},10,{x + 20},40,{label},100,80" for x, label in ((0, "tea"), (40, "rice"))]
        lines.append(f"{part}_0.png,5,5,9,60,tea,100,80")  # 4 px wide
        file = folder / "annotations" / f"annotations_{part}.csv"
        file.parent.mkdir(exist_ok=True)
        file.write_text((HEADER if part == "val" else "") + "\n".join(lines) + "\n")
    return folder


def run(source, out, **options):
    import_dataset("sku110k", str(source), out, progress=False, **options)
    return read_dataset(out)


def test_crops_are_grouped_by_picture_and_keep_the_split(source, tmp_path):
    data = run(source, tmp_path / "out")
    assert data.defect_names == ("rice", "tea")
    assert Counter(data.fixed_split) == {"train": 4, "val": 4, "test": 4}
    assert Counter(data.groups) == {f"{part}_{i}": 2 for part in ("train", "val", "test") for i in range(2)}
    place = data.fruit_ids.index("train_0-0001")
    with (
        Image.open(tmp_path / "out" / data.paths["rgb", "1"][place]) as crop,
        Image.open(source / "images" / "train_0.png") as whole,
    ):
        np.testing.assert_array_equal(np.asarray(crop), np.asarray(whole)[10:40, 40:60])


def test_min_side_and_limit(source, tmp_path):
    assert len(run(source, tmp_path / "all", min_side=4)) == 15
    few = run(source, tmp_path / "few", limit=3)
    assert len(few) == 4  # whole pictures
    assert len(set(few.groups)) == 2
    with pytest.raises(ConfigError, match="--min-side"):
        run(source, tmp_path / "a", min_side=0)
    with pytest.raises(DataError, match="no crop of 500 px"):
        run(source, tmp_path / "b", min_side=500)


def test_a_single_csv_is_a_source_and_has_no_split(source, tmp_path, capsys):
    data = run(source / "annotations" / "annotations_val.csv", tmp_path / "out")
    assert data.fixed_split is None
    assert len(data) == 4
    assert "put together" in capsys.readouterr().err


def test_one_class_gets_a_note(source, tmp_path, capsys):
    file = source / "annotations" / "annotations_train.csv"
    file.write_text("train_0.png,0,0,30,30,object,100,80\n")
    run(file, tmp_path / "out")
    assert "every crop is 'object'" in capsys.readouterr().err


def test_a_box_over_the_rim_is_cut(source, tmp_path):
    file = source / "annotations" / "annotations_train.csv"
    file.write_text("train_0.png,-5,-3,30,500,tea,100,80\ntrain_1.png,0,0,30,30,rice,100,80\n")
    data = run(file, tmp_path / "out")
    with Image.open(tmp_path / "out" / data.paths["rgb", "1"][0]) as crop:
        assert crop.size == (30, 80)


def test_the_picture_says_how_large_it_is_and_not_its_row(source, tmp_path):
    file = source / "annotations" / "annotations_train.csv"
    rows = ["0,0,4000,60000,tea", "90,10,5000,70,tea", "50,40,5000,5000,rice"]
    file.write_text("".join(f"train_0.png,{row},60000,60000\n" for row in rows))
    data = run(file, tmp_path / "out")
    crops = [Image.open(tmp_path / "out" / path) for path in data.paths["rgb", "1"]]
    assert [crop.size for crop in crops] == [(100, 80), (50, 40)]  # the second is only 10 px wide


def test_a_picture_that_cannot_be_read_is_left_out_with_a_note(source, tmp_path, capsys):
    (source / "images" / "train_1.png").write_bytes(b"\x89PNG broken")
    data = run(source, tmp_path / "out")
    assert "train_1" not in data.groups
    assert len(data) == 10
    assert "1 pictures cannot be read and are left out, first train_1.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train_0.png,1,2,3\n", r"row 1: 4 cells; expected the columns image,x1"),
        (HEADER + "train_0.png,a,0,9,9,tea,100,80\n", r"row 2: a box that is no number"),
        ("train_0.png,50,0,20,9,tea,100,80\n", r"row 1: an empty box"),
        (
            "train_0.png,500,500,600,600,tea,5000,5000\n",
            r"row 1: an empty box \[500, 500, 600, 600\]; expected .* inside the picture of 100 x 80 px",
        ),
        ("nowhere.png,0,0,20,20,tea,100,80\n", r"row 1: picture 'nowhere.png' is not there"),
        ("../../secret.png,0,0,20,20,tea,100,80\n", r"is not there"),
        ('train_0.png,"0,0,20,20,tea,100,80\n', r"not CSV"),
        ("train_0.png,inf,0,20,20,tea,100,80\n", r"no number"),
    ],
)
def test_a_broken_table_says_where(source, tmp_path, save_picture, text, message):
    save_picture(tmp_path.parent / "secret.png")
    file = source / "annotations" / "annotations_train.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        run(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_table_that_is_not_utf8_says_so(source, tmp_path):
    file = source / "annotations" / "annotations_train.csv"
    file.write_bytes("train_0.png,0,0,20,20,tée,100,80\n".encode("latin-1"))
    with pytest.raises(DataError, match="not CSV in UTF-8"):
        run(file, tmp_path / "out")

"""The strawberries: four classes, and the authors' one-class split lists beside the manifest."""

import csv
from collections import Counter

import pytest

from backend.data.importers import import_dataset
from backend.data.manifest import read_dataset
from backend.errors import DataError


@pytest.fixture
def source(tmp_path, save_picture):
    folder = tmp_path / "riseholme"
    for number, name in enumerate(
        [
            "Normal/Ripe/1",
            "Normal/Ripe/20",
            "Normal/Ripe/3",
            "Normal/Unripe/4",
            "Normal/Occluded/5",
            "Anomalous/6",
        ]
    ):
        save_picture(folder / "Data" / f"{name}.png", number)
    lists = folder / "Splits" / "Split1"
    lists.mkdir(parents=True)
    (lists / "Split1-R-Train.txt").write_text("Ripe/1.png\nRipe/20.png")
    (lists / "Split1-R-Test.txt").write_text("Ripe/3.png\n")
    (lists / "Split1-RUO-Val.txt").write_text("Unripe/4.png\nOccluded/5.png")
    (lists / "README.txt").write_text("not a list")
    return folder


def run(source, out):
    import_dataset("riseholme", str(source), out, progress=False)
    file = out / "splits.csv"
    lines = file.read_text().splitlines() if file.exists() else []
    return read_dataset(out), list(csv.DictReader(lines))


def test_four_classes_and_the_split_lists(source, tmp_path):
    data, splits = run(source, tmp_path / "out")
    assert data.defect_names == ("ripe", "unripe", "occluded", "anomalous")
    assert data.healthy == "ripe"
    assert [defect.kind for defect in data.defects] == ["other", "other", "other", "external"]
    assert data.fruit_ids[:3] == ("strawberry-1", "strawberry-3", "strawberry-20")
    assert data.fixed_split is None  # the main job cross-validates
    assert data.labels.sum(axis=0).tolist() == [3, 1, 1, 1]
    assert "2109.10135" in data.source
    assert splits[0] == {"split": "1", "subset": "R", "part": "test", "fruit_id": "strawberry-3"}
    assert Counter((row["subset"], row["part"]) for row in splits) == {
        ("R", "test"): 1,
        ("R", "train"): 2,
        ("RUO", "val"): 2,
    }


def test_a_data_set_may_lie_beside_its_source_s_folders(source, tmp_path, capsys):
    """Only where folders of any name are classes would the next import take it for one."""
    for _ in range(2):
        run(source, source / "made")
    assert "already holds exactly this data set" in capsys.readouterr().err


def test_without_lists_there_is_a_note_and_no_file(source, tmp_path, capsys):
    for file in (source / "Splits" / "Split1").iterdir():
        file.unlink()
    _, splits = run(source, tmp_path / "out")
    assert splits == []
    assert "no split lists" in capsys.readouterr().err


def test_crops_of_any_suffix_are_taken_and_other_files_told(source, tmp_path, save_picture, capsys):
    (source / "Data/Normal/Ripe/20.png").unlink()
    (source / "Data/Normal/Ripe/1.png").rename(source / "Data/Normal/Ripe/1.PNG")
    save_picture(source / "Data/Normal/Ripe/20.jpg", 1)
    (source / "Data/Anomalous/7.heic").write_text("from a telephone")
    data, splits = run(source, tmp_path / "out")
    assert data.fruit_ids[:3] == ("strawberry-1", "strawberry-3", "strawberry-20")
    assert [row["fruit_id"] for row in splits if row["part"] == "train"] == ["strawberry-1", "strawberry-20"]
    assert "left out 1 files" in (err := capsys.readouterr().err)
    assert "the first 'Data/Anomalous/7.heic'" in err


def test_a_split_that_lacks_a_list_is_told(source, tmp_path, capsys):
    run(source, tmp_path / "out")
    lines = [line for line in capsys.readouterr().err.splitlines() if "no list" in line]
    assert lines == [
        f"note: split 1 of R has no list for Val in {source / 'Splits'}",
        f"note: split 1 of RUO has no list for Train, Test in {source / 'Splits'}",
    ]


def test_what_a_mac_leaves_beside_a_crop_is_no_fruit(source, tmp_path):
    (source / "Data" / "Anomalous" / "._6.png").write_bytes(b"left by a Mac")
    assert run(source, tmp_path / "out")[0].fruit_ids[-1] == "strawberry-6"


def test_a_list_that_names_a_missing_crop_says_which(source, tmp_path):
    (source / "Splits" / "Split1" / "Split1-U-Val.txt").write_text("Unripe/4.png\nUnripe/99.png")
    with pytest.raises(DataError, match=r"Split1-U-Val.txt, line 2: crop 'Unripe/99.png' is not"):
        run(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_list_that_is_not_utf8_says_which(source, tmp_path):
    (source / "Splits" / "Split1" / "Split1-U-Val.txt").write_bytes("Unripe/é.png".encode("latin-1"))
    with pytest.raises(DataError, match=r"Split1-U-Val.txt: not UTF-8 .*save it as such"):
        run(source, tmp_path / "out")


def test_crops_with_one_number_and_with_odd_names_are_fruit_of_their_own(source, tmp_path, save_picture):
    for number, name in enumerate(["Normal/Unripe/1", "Normal/Occluded/1", "Anomalous/a b"], start=10):
        save_picture(source / "Data" / f"{name}.png", number)
    (source / "Splits" / "Split1" / "Split1-U-Val.txt").write_text("Unripe/1.png\nOccluded/1.png")
    data, splits = run(source, tmp_path / "out")
    assert "strawberry-a_b" in data.fruit_ids
    place = [data.fruit_ids.index(row["fruit_id"]) for row in splits if row["subset"] == "U"]
    for name, at in zip(["Unripe/1.png", "Occluded/1.png"], place, strict=True):
        copied = tmp_path / "out" / data.paths["rgb", "1"][at]
        assert copied.read_bytes() == (source / "Data" / "Normal" / name).read_bytes()


def test_a_missing_or_empty_class_says_which(source, tmp_path):
    (source / "Data" / "Anomalous" / "6.png").unlink()
    with pytest.raises(DataError, match=r"Anomalous: no .png files"):
        run(source, tmp_path / "out")
    (source / "Data" / "Anomalous").rmdir()
    with pytest.raises(DataError, match=r"Anomalous: no such folder"):
        run(source, tmp_path / "out")


@pytest.mark.real_data
def test_the_real_strawberries(real_data, tmp_path):
    data, splits = run(real_data("riseholme"), tmp_path / "out")
    assert len(data) == 3520
    counts = dict(zip(data.defect_names, data.labels.sum(axis=0).astype(int).tolist(), strict=True))
    assert counts == {"ripe": 462, "unripe": 2406, "occluded": 499, "anomalous": 153}
    sizes = Counter((row["split"], row["subset"], row["part"]) for row in splits)
    assert [sizes["1", "R", part] for part in ("train", "val", "test")] == [323, 46, 93]
    assert {row["fruit_id"] for row in splits} <= set(data.fruit_ids)
    for subset in ("R", "U", "RU", "RUO"):
        ids = [row["fruit_id"] for row in splits if row["subset"] == subset]
        assert len(ids) == len(set(ids))  # no crop in two parts

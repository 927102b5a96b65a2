"""The data set folder: the contract's files, truth, masks, and the same bytes however it is made."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.data.manifest import read_dataset
from backend.data.synth import make_dataset
from backend.data.synth.catalogue import DEFECTS
from backend.data.synth.make import Request
from backend.data.synth.write import fruit_bytes
from backend.errors import ConfigError, DataError

NAMES = [spec.name for spec in DEFECTS]


def table(path: Path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_reader_takes_it(avocados):
    data = read_dataset(avocados)
    assert len(data) == 48
    assert data.synthetic
    assert data.task == "multilabel"
    assert data.defect_names == tuple(NAMES)
    assert data.modalities == {"rgb": ("1", "2", "3", "4"), "nir": ("1", "2", "3", "4")}
    assert data.sensors == ("rgb", "nir", "pressure")
    assert len(set(data.groups)) == 4
    assert data.labelled.sum() == 24
    assert "SYNTHETIC" in data.description


def test_pictures_have_the_asked_size_and_kind(avocados):
    row = table(avocados / "manifest.csv")[5]
    for modality, mode in (("rgb", "RGB"), ("nir", "L")):
        with Image.open(avocados / row[f"image:{modality}:3"]) as picture:
            assert picture.size == (32, 32)
            assert picture.mode == mode


def test_whole_pallets_are_unlabelled(avocados):
    rows = table(avocados / "manifest.csv")
    labelled = {}
    for row in rows:
        labelled.setdefault(row["group"], set()).add(any(row[f"defect:{name}"] for name in NAMES))
    assert sorted(map(sorted, labelled.values())) == [[False], [False], [True], [True]]


def test_truth_holds_every_fruit_and_differs_from_the_labels_a_little(tmp_path):
    make_dataset(tmp_path / "set", 300, seed=0, size=16, unlabelled=0.0, progress=False)
    labels, truth = (table(tmp_path / "set" / name) for name in ("manifest.csv", "truth.csv"))
    assert [row["fruit_id"] for row in labels] == [row["fruit_id"] for row in truth]
    pairs = [
        (row[f"defect:{name}"], right[f"defect:{name}"])
        for row, right in zip(labels, truth, strict=True)
        for name in NAMES
    ]
    filled = [(a, b) for a, b in pairs if a]
    wrong = sum(a != b for a, b in filled) / len(filled)
    assert 0.001 < wrong < 0.012
    empty = 1 - len(filled) / len(pairs)
    assert 0.003 < empty < 0.04  # fruit that nobody cut open
    for right in truth:
        for name in NAMES:
            assert (float(right[f"severity:{name}"]) > 0) == (right[f"defect:{name}"] == "1")
    missing_views = sum(not v for row in labels for k, v in row.items() if k.startswith("image:"))
    missing_taps = sum(not v for row in labels for k, v in row.items() if k.startswith("pressure:"))
    assert 2 < missing_views < 25
    assert 3 < missing_taps < 30


def test_masks_are_where_the_defects_truly_are(avocados):
    truth = {row["fruit_id"]: row for row in table(avocados / "truth.csv")}
    labelled = {r["fruit_id"] for r in table(avocados / "manifest.csv") if r["defect:bruising"]}
    masks = table(avocados / "masks.csv")
    assert masks
    for row in masks:
        assert truth[row["fruit_id"]][f"defect:{row['defect']}"] == "1"
        assert row["path"].startswith(f"masks/{row['defect']}/")
        with Image.open(avocados / row["path"]) as mask:
            assert mask.mode == "1"
            assert mask.size == (32, 32)
            assert np.asarray(mask).any()
    shown = {(row["fruit_id"], row["defect"]) for row in masks}
    severe = {
        (fruit, name) for fruit in labelled for name in NAMES if float(truth[fruit][f"severity:{name}"]) > 0.5
    }
    assert severe <= shown


def test_a_fruit_is_the_same_in_a_larger_set_and_with_more_workers(tmp_path):
    make_dataset(tmp_path / "a", 30, seed=9, size=16, progress=False)
    make_dataset(tmp_path / "b", 30, seed=9, size=16, workers=2, progress=False)
    make_dataset(tmp_path / "c", 17, seed=9, size=16, progress=False)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    pictures = [name for name in c if name.startswith(("images/", "masks/"))]
    assert len(pictures) > 17 * 7
    assert {name: a[name] for name in pictures} == {name: c[name] for name in pictures}
    rows = table(tmp_path / "a" / "manifest.csv")[:17]
    assert rows == table(tmp_path / "c" / "manifest.csv")


def test_another_seed_gives_other_fruit(tmp_path):
    for seed in (0, 1):
        make_dataset(tmp_path / str(seed), 2, seed=seed, size=16, progress=False)
    assert contents(tmp_path / "0") != contents(tmp_path / "1")


def test_the_same_again_does_nothing_and_another_is_refused(tmp_path, capsys):
    make_dataset(tmp_path / "set", 3, seed=0, size=16, progress=False)
    before = contents(tmp_path / "set")
    make_dataset(tmp_path / "set", 3, seed=0, size=16, progress=False)
    assert contents(tmp_path / "set") == before
    assert "already holds" in capsys.readouterr().err
    with pytest.raises(DataError, match="holds another data set"):
        make_dataset(tmp_path / "set", 4, seed=0, size=16, progress=False)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.75, 0.975])
def test_the_unlabelled_share_is_met(share):
    request = Request(fruits=12 * 40, seed=0, unlabelled=share)
    labelled = sum(request.is_labelled(pallet) for pallet in range(request.pallets))
    assert labelled == round(40 * (1 - share))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fruits": 0, "seed": 0}, "fruits: 0; expected 1 or more"),
        ({"fruits": 1, "seed": -1}, "seed"),
        ({"fruits": 1, "seed": 0, "size": 8}, "16 to 1024"),
        ({"fruits": 1, "seed": 0, "unlabelled": 1.0}, "share from 0 to below 1"),
        ({"fruits": 1, "seed": 0, "workers": 0}, "workers"),
    ],
)
def test_arguments_out_of_range_say_so(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        make_dataset(tmp_path / "set", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_what_the_disk_cannot_hold_is_refused_before_it_is_begun(tmp_path):
    with pytest.raises(DataError, match=r"GB free; expected about 49,152,000.0 GB; ask for less"):
        make_dataset(tmp_path / "new" / "set", 10**12, seed=0, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_the_space_is_estimated_from_the_size(avocados):
    taken = sum(-(-path.stat().st_size // 4096) * 4096 for path in (avocados / "images").rglob("*.png"))
    assert 0.6 < 48 * fruit_bytes(32) / taken <= 1

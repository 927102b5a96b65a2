"""The reader: what the contract says is read, and everything else is refused in one line."""

import numpy as np
import pytest

from backend.data.dataset import Defect
from backend.data.manifest import read_dataset, read_manifest
from backend.data.problem import Problems


def test_reads_everything_the_contract_names(folder):
    folder.set(3, "image:rgb:2", "")
    folder.set(4, "pressure:tap", "")
    folder.set(5, "group", "")
    folder.set(6, "defect:rot", "")
    dataset = read_dataset(folder.write())

    assert (dataset.name, dataset.task, dataset.healthy) == ("small", "multilabel", "a-quality")
    assert dataset.synthetic
    assert (dataset.description, dataset.licence, dataset.source) == ("for tests", "CC0-1.0", "drawn")
    assert dataset.defects == (Defect("rot", "internal", 2.5, 1.0), Defect("scar", "external", 1.0, 1.0))
    assert dataset.fruit_ids == tuple(f"f{i}" for i in range(13))
    assert dataset.groups == tuple("f3" if i == 3 else f"g{i}" for i in range(13))
    assert dataset.fixed_split is None
    expected = np.array([[i % 2, i // 2 % 2] for i in range(13)], dtype=np.float32)
    expected[4, 0] = expected[12] = np.nan
    np.testing.assert_array_equal(dataset.labels, expected)
    readings = [np.nan if i == 2 else i + 0.5 for i in range(13)]
    np.testing.assert_array_equal(dataset.pressures[:, 0], np.array(readings, dtype=np.float32))
    assert dataset.modalities == {"rgb": ("1", "2"), "nir": ("1",)}
    assert dataset.paths["rgb", "2"][:2] == ("images/rgb-0-2.png", "")
    assert dataset.sensors == ("rgb", "nir", "pressure")
    assert len(dataset.dataset_id) == len(dataset.label_version) == 16


def test_a_sensor_that_is_missing_everywhere_is_none(folder):
    for row in range(2, len(folder.rows) + 2):
        folder.set(row, "image:nir:1", "")
        folder.set(row, "pressure:tap", "")
        folder.set(row, "image:rgb:1", "")
    dataset = read_dataset(folder.write())
    assert dataset.sensors == ("rgb",) and list(dataset.modalities) == ["rgb", "nir"]


def test_groups_default_to_the_fruit(folder):
    folder.drop_column("group")
    dataset = read_dataset(folder.write())
    assert dataset.groups == dataset.fruit_ids


def test_multiclass_has_one_column_a_class_and_adds_the_healthy_one(folder):
    folder.to_multiclass(["sound", "mould", "bruise", ""] * 3 + ["mould"])
    folder.toml = folder.toml.replace('[[defect]]\nname = "sound"\n', "")
    dataset = read_dataset(folder.write())
    assert dataset.defect_names == ("sound", "mould", "bruise")
    assert dataset.defects[0].kind == "other"
    np.testing.assert_array_equal(dataset.labels[:3], np.eye(3))
    assert np.isnan(dataset.labels[3]).all()
    assert dataset.labelled.sum() == 10


def test_multiclass_without_a_healthy_class(folder):
    folder.to_multiclass(["one", "two"] * 6 + [""])
    folder.toml = folder.toml.replace('healthy = "sound"\n', "")
    dataset = read_dataset(folder.write())
    assert (dataset.defect_names, dataset.healthy) == (("one", "two"), "")


def test_fixed_split_is_kept(folder):
    words = ["train"] * 6 + ["val"] * 3 + ["test"] * 3 + [""]
    folder.add_column("split", words)
    assert read_dataset(folder.write()).fixed_split == tuple(words)


def test_a_split_column_without_words_fixes_nothing(folder):
    folder.add_column("split", [""] * 13)
    assert read_dataset(folder.write()).fixed_split is None


CELLS = [
    ("fruit_id", "", "''; expected 1 to 64"),
    ("fruit_id", "no spaces", "'no spaces'; expected 1 to 64"),
    ("fruit_id", "x" * 65, "expected 1 to 64"),
    ("fruit_id", "f0", "duplicate 'f0', already in row 2"),
    ("group", "two\nlines", "expected 1 to 128 printable"),
    ("defect:rot", "2", "'2'; expected 0, 1 or nothing"),
    ("defect:rot", "yes", "'yes'; expected 0, 1 or nothing"),
    ("defect:rot", "1.0", "'1.0'; expected 0, 1 or nothing"),
    ("pressure:tap", "soft", "'soft'; expected a finite number"),
    ("pressure:tap", "nan", "'nan'; expected a finite number"),
    ("pressure:tap", "inf", "'inf'; expected a finite number"),
    ("pressure:tap", "1e39", "'1e39'; expected a finite number"),
    ("pressure:tap", "3,5", "'3,5'; expected a finite number"),
    ("pressure:tap", "1_000", "'1_000'; expected a finite number"),
    ("image:rgb:1", "images/none.png", "missing image 'images/none.png'"),
    ("image:rgb:1", "images", "is not a file"),
    ("image:rgb:1", "../outside.png", "leaves the data set folder"),
    ("image:rgb:1", "images/../../outside.png", "leaves the data set folder"),
    ("image:rgb:1", "/etc/passwd", "absolute path '/etc/passwd'"),
    ("image:rgb:1", "C:/windows.png", "absolute path"),
    ("image:rgb:1", r"images\rgb-0-1.png", "expected / between folders"),
    ("image:rgb:1", "images/nul\0.png", "cannot be reached"),
    ("image:rgb:1", "x" * 5000, "cannot be reached"),
    ("image:rgb:1", "images/rgb-0-1.png", "also an image of row 2, in another group"),
]


@pytest.mark.parametrize(("column", "value", "message"), CELLS)
def test_a_wrong_cell_is_named_with_row_and_column(folder, refusal, column, value, message):
    (folder.root.parent / "outside.png").write_bytes((folder.root / "images/rgb-0-1.png").read_bytes())
    folder.set(7, column, value)
    line = refusal(folder)
    assert f"manifest.csv row 7, column {column}: " in line
    assert message in line


HEADERS = [
    ("pressure:tap", "tap", "column tap: unknown column; expected fruit_id"),
    ("pressure:tap", "", "column 5 has no name"),
    ("pressure:tap", "pressure:", "expected a name"),
    ("pressure:tap", "group", "column group: this column appears twice"),
    ("defect:rot", "defect:mould", "column defect:mould: not among the [[defect]] tables"),
    ("defect:rot", "label", "column label: belongs to task multiclass"),
    ("fruit_id", "id", "column id: unknown column"),
    ("image:rgb:1", "image:rgb", "expected image:<modality>:<view>"),
    ("image:rgb:1", "image:a b:1", "expected image:<modality>:<view>"),
    ("image:rgb:1", "image:../up:1", "expected image:<modality>:<view>"),
    ("image:rgb:1", "image:pressure:1", "cannot be called pressure"),
]


@pytest.mark.parametrize(("column", "renamed", "message"), HEADERS)
def test_a_wrong_column_is_named(folder, refusal, column, renamed, message):
    folder.header[folder.header.index(column)] = renamed
    line = refusal(folder)
    assert "manifest.csv row 1" in line
    assert message in line


def test_missing_columns(folder, refusal):
    folder.drop_column("defect:scar")
    assert "column defect:scar: named in dataset.toml but no column" in refusal(folder)


def test_neither_images_nor_readings(folder, refusal):
    for column in folder.header[4:]:
        folder.drop_column(column)
    assert "no column image:<modality>:<view> or pressure:<name>" in refusal(folder)


def test_unknown_class(folder, refusal):
    folder.to_multiclass(["sound", "mould"] * 6 + [""])
    folder.set(5, "label", "Mould")
    line = refusal(folder)
    assert "row 5, column label: unknown class 'Mould'; expected one of dataset.toml: sound, mould" in line


SPLITS = [
    (["train"] * 6 + ["dev"] + ["test"] * 6, "row 8, column split: found 'dev'"),
    (["train"] * 13, "a fixed split needs the words train and test"),
]


@pytest.mark.parametrize(("words", "message"), SPLITS)
def test_wrong_split_words(folder, refusal, words, message):
    folder.add_column("split", words)
    assert message in refusal(folder)


@pytest.mark.parametrize("other", ["train", "val", ""])
def test_a_group_never_straddles_a_fixed_split(folder, refusal, other):
    folder.add_column("split", ["train"] * 10 + ["test", other, "test"])
    folder.set(13, "group", folder.get(12, "group"))
    assert "row 13, column split: group 'g10' is in " in refusal(folder)


def test_a_warning_is_never_the_reason_of_a_refusal(folder, refusal):
    folder.toml = "colour = 1\n" + folder.toml
    assert read_dataset(folder.write()).name == "small"
    folder.set(3, "defect:rot", "x")
    line = refusal(folder)
    assert "row 3, column defect:rot" in line
    assert "more" not in line


def test_every_problem_is_found_before_the_first_is_raised(folder, refusal):
    folder.set(3, "defect:rot", "x")
    folder.set(4, "pressure:tap", "x")
    folder.set(5, "fruit_id", "f0")
    folder.add_column("colour", ["red"] * 13)
    line = refusal(folder)
    assert "column colour: unknown column" in line
    assert line.endswith(f"and 3 more; run `python -m backend.data check {folder.root}`")
    problems = Problems()
    read_manifest(folder.root, problems)
    assert [(p.row, p.column) for p in problems] == [
        (1, "colour"),
        (5, "fruit_id"),
        (4, "pressure:tap"),
        (3, "defect:rot"),
    ]


def test_long_and_odd_values_stay_one_short_line(folder, refusal):
    folder.set(4, "defect:rot", "\x1b[31m\n" + "y" * 10_000)
    line = refusal(folder)
    assert len(line) < 600
    assert line.isprintable()

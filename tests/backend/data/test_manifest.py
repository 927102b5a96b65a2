"""The reader: what the contract says is read, and everything else is refused in one line."""

import numpy as np
import pytest

from backend.data.dataset import Defect
from backend.data.manifest import read_dataset, read_manifest
from backend.data.problem import Problems
from backend.errors import DataError


def refusal(folder, **how) -> str:
    """The one line with which the folder is refused."""
    with pytest.raises(DataError) as caught:
        read_dataset(folder.write(**how))
    assert "\n" not in str(caught.value)
    return str(caught.value)


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


def test_bom_and_windows_line_ends_do_not_matter(folder):
    plain = read_dataset(folder.write())
    marked = read_dataset(folder.write(encoding="utf-8-sig", line_end="\r\n"))
    assert (plain.dataset_id, plain.fruit_ids) == (marked.dataset_id, marked.fruit_ids)


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
def test_a_wrong_cell_is_named_with_row_and_column(folder, column, value, message):
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
def test_a_wrong_column_is_named(folder, column, renamed, message):
    folder.header[folder.header.index(column)] = renamed
    line = refusal(folder)
    assert "manifest.csv row 1" in line
    assert message in line


def test_missing_columns(folder):
    folder.drop_column("defect:scar")
    assert "column defect:scar: named in dataset.toml but no column" in refusal(folder)


def test_neither_images_nor_readings(folder):
    for column in folder.header[4:]:
        folder.drop_column(column)
    assert "no column image:<modality>:<view> or pressure:<name>" in refusal(folder)


def test_unknown_class(folder):
    folder.to_multiclass(["sound", "mould"] * 6 + [""])
    folder.set(5, "label", "Mould")
    line = refusal(folder)
    assert "row 5, column label: unknown class 'Mould'; expected one of dataset.toml: sound, mould" in line


SPLITS = [
    (["train"] * 6 + ["dev"] + ["test"] * 6, "row 8, column split: found 'dev'"),
    (["train"] * 13, "a fixed split needs the words train and test"),
]


@pytest.mark.parametrize(("words", "message"), SPLITS)
def test_wrong_split_words(folder, words, message):
    folder.add_column("split", words)
    assert message in refusal(folder)


@pytest.mark.parametrize("other", ["train", "val", ""])
def test_a_group_never_straddles_a_fixed_split(folder, other):
    folder.add_column("split", ["train"] * 10 + ["test", other, "test"])
    folder.set(13, "group", folder.get(12, "group"))
    assert "row 13, column split: group 'g10' is in " in refusal(folder)


TOMLS = [
    ('task = "multilabel"', 'task = "regression"', "task: found 'regression'; expected"),
    ('task = "multilabel"', "", "task: found None"),
    ('name = "small"', "", "name: no name"),
    ('name = "small"', "name = 3", "name: found 3; expected text"),
    ("synthetic = true", 'synthetic = "yes"', "synthetic: found 'yes'; expected true or false"),
    ('kind = "external"', 'kind = "outside"', "[[defect]] 2: kind 'outside'"),
    ('kind = "external"', "cost_miss = -1", "[[defect]] 2: cost_miss -1; expected money"),
    ('kind = "external"', "cost_miss = nan", "[[defect]] 2: cost_miss nan"),
    ('kind = "external"', "cost_miss = true", "[[defect]] 2: cost_miss True"),
    ('kind = "external"', "cost_mis = 1", "[[defect]] 2: unknown key 'cost_mis'"),
    ('name = "scar"', 'name = "rot"', "[[defect]] 2: 'rot' twice"),
    ('name = "scar"', 'name = "a-quality"', "healthy class 'a-quality' is no defect"),
    ('name = "scar"', 'name = ""', "[[defect]] 2: name ''"),
    ("[[defect]]", "[defect]", "dataset.toml"),
    ('name = "small"', "name = small", "not TOML"),
    ('name = "small"', "x = " + "[" * 5000, "not TOML"),
]


@pytest.mark.parametrize(("old", "new", "message"), TOMLS)
def test_wrong_dataset_toml(folder, old, new, message):
    assert old in folder.toml
    folder.toml = folder.toml.replace(old, new, 1 if new != "[defect]" else -1)
    line = refusal(folder)
    assert "dataset.toml" in line
    assert message in line


def test_an_unknown_key_of_the_toml_is_a_warning(folder):
    folder.toml = "colour = 1\n" + folder.toml
    problems = Problems()
    read_manifest(folder.write(), problems)
    assert [str(p) for p in problems] == [
        "warning: dataset.toml, colour: unknown key, ignored; known: name, task, healthy, description, "
        "licence, source, synthetic, defect"
    ]


FILES = [
    (b"", "manifest.csv: empty; expected a header"),
    (b"\xef\xbb\xbf\r\n\r\n", "manifest.csv: empty; expected a header"),
    (b"fruit_id,image:rgb:1\n", "manifest.csv: no fruit"),
    (b"fruit_id,pressure:tap\nf1,1\nf\xe9,2\n", "manifest.csv row 3: byte 0xE9 is not UTF-8"),
    ("fruit_id,pressure:tap\nf1,1\n".encode("utf-16"), "is not UTF-8"),
    (b'fruit_id,pressure:tap\nf1,1\nf2,"1"x\n', "manifest.csv row 3: not CSV"),
    (b'fruit_id,pressure:tap\nf1,"1\n', "manifest.csv row 2: not CSV"),
    (b"fruit_id,pressure:tap\nf1\n", "manifest.csv row 2: 1 cells; expected 2"),
    (b"fruit_id,pressure:tap\nf1,1,2\n", "manifest.csv row 2: 3 cells; expected 2"),
    (b"fruit_id,pressure:tap\nf1,1\n\nf2,2\n", "manifest.csv row 3: 0 cells; expected 2"),
    (b"fruit_id;pressure:tap\nf1;1\n", "columns separated by ';'; expected commas"),
]


@pytest.mark.parametrize(("content", "message"), FILES)
def test_wrong_manifest_files(tmp_path, content, message):
    (tmp_path / "manifest.csv").write_bytes(content)
    (tmp_path / "dataset.toml").write_text('name = "x"\ntask = "multilabel"\n')
    with pytest.raises(DataError) as caught:
        read_dataset(tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["manifest.csv", "dataset.toml"])
def test_missing_files(folder, name):
    (folder.write() / name).unlink()
    with pytest.raises(DataError, match=f"{name}: missing"):
        read_dataset(folder.root)


def test_a_folder_is_needed(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        read_dataset(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="not a folder"):
        read_dataset(tmp_path / "file")


def test_links_out_of_the_folder_are_refused_and_links_within_are_not(folder):
    outside = folder.root.parent / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(b"x")
    (folder.root / "out.png").symlink_to(outside / "secret.png")
    (folder.root / "away").symlink_to(outside)
    (folder.root / "in.png").symlink_to(folder.root / "images/rgb-0-1.png")
    (folder.root / "broken.png").symlink_to("nothing.png")
    folder.set(2, "image:rgb:1", "in.png")
    assert read_dataset(folder.write()).paths["rgb", "1"][0] == "in.png"
    for path, message in [
        ("out.png", "through a link"),
        ("away/secret.png", "through a link"),
        ("broken.png", "missing image"),
    ]:
        folder.set(2, "image:rgb:1", path)
        assert message in refusal(folder)


def test_a_folder_reached_through_a_link_is_fine(folder):
    link = folder.write().parent / "link"
    link.symlink_to(folder.root)
    assert read_dataset(link).dataset_id == read_dataset(folder.root).dataset_id


def test_a_warning_is_never_the_reason_of_a_refusal(folder):
    folder.toml = "colour = 1\n" + folder.toml
    assert read_dataset(folder.write()).name == "small"
    folder.set(3, "defect:rot", "x")
    line = refusal(folder)
    assert "row 3, column defect:rot" in line
    assert "more" not in line


def test_every_problem_is_found_before_the_first_is_raised(folder):
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


def test_long_and_odd_values_stay_one_short_line(folder):
    folder.set(4, "defect:rot", "\x1b[31m\n" + "y" * 10_000)
    line = refusal(folder)
    assert len(line) < 600
    assert line.isprintable()

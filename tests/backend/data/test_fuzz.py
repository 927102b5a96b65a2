"""Whatever stands in the text files: it is refused in one line, or read as exactly what it says."""

import csv
import math
import re
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from backend.data.check import check_dataset
from backend.data.manifest import read_dataset
from backend.errors import DataError

FAST = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

NASTY = [
    "",
    "0",
    "1",
    "-1",
    "1.0",
    "NaN",
    "inf",
    "1e400",
    "٣",
    "1_0",
    "0x1",
    " 1",
    "1 ",
    "TRUE",
    "f0",
    "g1",
    "train",
]
NASTY += [
    "test",
    "a-quality",
    "..",
    "../x",
    "/etc/passwd",
    "images",
    "images/rgb-0-1.png",
    "./images//rgb-0-1.png",
]
NASTY += ["images/../images/rgb-0-1.png", "\0", "\n", '"', ",", "\ufeff", "=1+1", "a" * 70, "a" * 5000]
TEXT = st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
NAMES = st.one_of(
    TEXT,
    st.sampled_from(
        ["fruit_id", "group", "split", "label", "defect:rot", "defect:", "pressure:x", "pressure:"]
    ),
    st.sampled_from(
        ["image:rgb:1", "image:rgb:", "image::1", "image:pressure:1", "image:nir:2", "image:a:b:c"]
    ),
)


def read_or_refuse(root: Path):
    """The data set, or None after a refusal of one printable line; anything else fails the test."""
    try:
        dataset = read_dataset(root)
    except DataError as error:
        line = str(error)
        assert line.isprintable()
        assert len(line) < 2000
        assert any(problem.severity == "error" for problem in check_dataset(root, images=False))
        return None
    errors = [problem for problem in check_dataset(root, images=False) if problem.severity == "error"]
    assert all(problem.row is None for problem in errors)
    return dataset


@pytest.fixture
def written(new_folder):
    folder = new_folder(fruits=5)
    folder.write()
    return folder


def save(folder, header, rows) -> Path:
    with (folder.root / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    return folder.root


def means(dataset, folder, row: int, column: str, text: str) -> bool:
    """Whether the data set says what the cell says, judged without the reader's own rules."""
    kind, _, name = column.partition(":")
    if kind == "fruit_id":
        ok = set(text) <= set(string.ascii_letters + string.digits + "._-") and 1 <= len(text) <= 64
        return ok and dataset.fruit_ids[row] == text and len(set(dataset.fruit_ids)) == len(dataset)
    if kind == "group":
        return dataset.groups[row] == (text or dataset.fruit_ids[row])
    if kind == "defect":
        value = dataset.labels[row, dataset.defect_names.index(name)]
        return math.isnan(value) if text == "" else (text, value) in {("0", 0), ("1", 1)}
    if kind == "pressure":
        value = float(dataset.pressures[row, 0])
        return (
            math.isnan(value) if text == "" else math.isclose(value, float(text), rel_tol=1e-6, abs_tol=1e-38)
        )
    path = dataset.paths[tuple(name.split(":"))][row]
    if text == "":
        return path == ""
    inside = (folder.root / path).resolve().relative_to(folder.root.resolve())
    return (folder.root / text).resolve() == folder.root.resolve() / inside and (folder.root / path).is_file()


@FAST
@given(row=st.integers(0, 4), column=st.integers(0, 7), text=TEXT)
@example(row=2, column=5, text="images/rgb-0-1.png")
def test_a_cell_is_refused_or_read_as_it_is(written, row, column, text):
    rows = [list(cells) for cells in written.rows]
    rows[row][column] = text
    dataset = read_or_refuse(save(written, written.header, rows))
    if dataset is not None:
        assert means(dataset, written, row, written.header[column], text)


@FAST
@given(column=st.integers(0, 7), name=NAMES)
def test_a_header_is_refused_or_known(written, column, name):
    header = list(written.header)
    header[column] = name
    dataset = read_or_refuse(save(written, header, written.rows))
    if dataset is not None:
        known = re.compile(r"fruit_id|group|defect:(rot|scar)|pressure:.+|image:[\w-]+:[\w-]+", re.ASCII)
        assert known.fullmatch(name)
        assert len(set(header)) == len(header)
        names = {f"pressure:{p}" for p in dataset.pressure_names} | {
            f"image:{m}:{v}" for m, v in dataset.paths
        }
        assert name in names | {"fruit_id", "group", "defect:rot", "defect:scar"}


@FAST
@given(content=st.binary(max_size=200))
@example(content=b"fruit_id,pressure:a\nx,1\n")
@example(content=b"\xff\xfef\0")
@example(content=b'"')
@example(content=b'fruit_id,"pressure:\x1b[31m"\nx,1\n')
def test_any_bytes_as_manifest(written, content):
    (written.root / "manifest.csv").write_bytes(content)
    read_or_refuse(written.root)


VALUES = st.recursive(
    st.one_of(st.integers(), st.floats(), st.booleans(), st.text(string.printable, max_size=8)),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "kind"]), inner, max_size=2)
    ),
    max_leaves=4,
)
KEYS = st.sampled_from(["name", "task", "healthy", "synthetic", "description", "defect", "licence", "colour"])


@FAST
@given(
    content=st.dictionaries(KEYS, VALUES, max_size=5), task=st.sampled_from(["multilabel", "multiclass", "x"])
)
@example(content={"defect": [{"name": "a", "cost_miss": 10**400}]}, task="multiclass")
def test_any_values_in_the_toml(written, content, task):
    tomli_w = pytest.importorskip("tomli_w")
    for cells in written.rows:
        cells[2:4] = ["", ""]
    (written.root / "dataset.toml").write_text(
        tomli_w.dumps({"task": task, "name": "x"} | content), encoding="utf-8"
    )
    dataset = read_or_refuse(written.root)
    if dataset is not None:
        assert dataset.name == content.get("name", "x")
        assert all(defect.cost_miss >= 0 for defect in dataset.defects)


@FAST
@given(content=st.binary(max_size=100))
def test_any_bytes_as_toml(written, content):
    (written.root / "dataset.toml").write_bytes(content)
    read_or_refuse(written.root)

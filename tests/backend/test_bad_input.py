"""Whatever a user gets wrong: one line that says what, where and what to do, exit code 2, nothing touched."""

import csv
import re
import shutil
import sqlite3
import struct
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from backend.cli import run_command
from backend.store.schema import SCHEMA_VERSION
from backend.store.writer import RunStore
from backend.tune import main

PLAN = """
folds = 3
resolution = 16
[baseline]
trials = 1
generation = 1
tune_epochs = 1
epochs = 1
min_steps = 0
"""


@pytest.fixture
def folder(multiclass_folder, tmp_path):
    """A copy of a good data set, to be damaged."""
    return Path(shutil.copytree(multiclass_folder, tmp_path / "fruit"))


def image(root, number=0):
    return root / f"images/{number}.png"


def truncated_image(root):
    image(root).write_bytes(image(root).read_bytes()[:-40])


def empty_image(root):
    image(root).write_bytes(b"")


def bomb(root):
    """A PNG of a few bytes that promises 60,000 x 60,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    image(root).write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def edit(root, change):
    """Apply ``change`` to header and rows of the manifest."""
    path = root / "manifest.csv"
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    header, rows = change(header, rows)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def wrong_column(root):
    edit(root, lambda header, rows: (["fruit", *header[1:]], rows))


def unknown_column(root):
    edit(root, lambda header, rows: ([*header, "colour"], [[*row, "green"] for row in rows]))


def duplicate_id(root):
    edit(root, lambda header, rows: (header, [*rows, rows[0]]))


def pressure_that_is_no_number(root):
    edit(root, lambda header, rows: ([*header, "pressure:tap"], [[*row, "soft"] for row in rows]))


def one_class_only(root):
    edit(root, lambda header, rows: (header, [row for row in rows if row[1] == "fine"]))


def too_few_of_one_class(root):
    reds = 2

    def change(header, rows):
        red = [row for row in rows if row[1] == "red"]
        return header, [row for row in rows if row[1] != "red"] + red[:reds]

    edit(root, change)


def no_label(root):
    edit(root, lambda header, rows: (header, [[row[0], "", row[2]] for row in rows]))


def unknown_label(root):
    edit(root, lambda header, rows: (header, [[rows[0][0], "mouldy", rows[0][2]], *rows[1:]]))


def path_out_of_the_folder(root):
    edit(root, lambda header, rows: (header, [[*rows[0][:2], "../../secret.png"], *rows[1:]]))


def no_rows(root):
    edit(root, lambda header, rows: (header, []))


def empty_manifest(root):
    (root / "manifest.csv").write_bytes(b"")


def not_utf_8(root):
    path = root / "manifest.csv"
    path.write_bytes(path.read_bytes().replace(b"f000", b"f\xff\xfe"))


DAMAGE = {
    truncated_image: r"images/0\.png",
    empty_image: r"images/0\.png",
    bomb: r"60,?000",
    wrong_column: r"fruit_id",
    unknown_column: r"colour",
    duplicate_id: r"f000",
    pressure_that_is_no_number: r"soft",
    one_class_only: r"class",
    too_few_of_one_class: r"red",
    no_label: r"label",
    unknown_label: r"mouldy",
    path_out_of_the_folder: r"\.\./\.\./secret\.png",
    no_rows: r"manifest\.csv",
    empty_manifest: r"manifest\.csv",
    not_utf_8: r"UTF-8",
}


def tune(folder: Path, *more: str) -> int:
    plan = folder.parent / "plan.toml"
    plan.write_text(PLAN)
    store = folder.parent / "store.db"
    arguments = ["--plan", str(plan), "--dataset", str(folder), "--store", str(store), "--workers", "0"]
    return run_command(main, [*arguments, "--device", "cpu", "--quiet", *more])


def the_line(capsys) -> str:
    """What was said: one line, no traceback."""
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line.strip()]
    assert len(lines) == 1, said.err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in said.err
    return lines[0]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_data_set_is_refused(folder, damage, capsys):
    damage(folder)
    assert tune(folder) == 2
    assert re.search(DAMAGE[damage], the_line(capsys))
    assert not (folder.parent / "store.db").exists()


def not_sqlite(path):
    path.write_text("not a database, but somebody's notes\n" * 100)


def foreign(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.commit()


def newer(path):
    RunStore(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        connection.commit()


@pytest.mark.parametrize(
    ("make", "words"),
    [(not_sqlite, "not a run store"), (foreign, "another program"), (newer, "newer than this program")],
)
def test_a_store_that_is_not_ours_is_left_alone(folder, make, words, capsys):
    store = folder.parent / "store.db"
    make(store)
    before = store.read_bytes()
    assert tune(folder) == 2
    assert words in the_line(capsys)
    assert store.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "valid"),
    [
        (["--plan", "weekend"], ["quick", "overnight"]),
        (["--methods", "simclr,magic"], ["simclr", "barlow_twins"]),
        (["--modalities", "rgb,xray"], ["rgb"]),
        (["--device", "abacus"], ["cpu"]),
        (["--trials", "0"], ["1 or more"]),
    ],
)
def test_an_unknown_name_is_answered_with_the_valid_ones(folder, arguments, valid, capsys):
    assert tune(folder, *arguments) == 2
    line = the_line(capsys)
    assert all(name in line for name in valid)


def test_an_unknown_backbone_is_answered_with_the_valid_ones(folder, capsys):
    plan = folder.parent / "other.toml"
    plan.write_text(PLAN + 'backbones = ["resnet1"]\n')
    assert tune(folder, "--plan", str(plan)) == 2
    line = the_line(capsys)
    assert "resnet1" in line
    assert "resnet10_half" in line and "resnet18" in line

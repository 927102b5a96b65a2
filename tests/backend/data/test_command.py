"""``python -m backend.data``: every bad input is one line and exit code 2."""

import csv
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from backend.cli import run_command
from backend.data.__main__ import main


def command(*arguments) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backend.data", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def damage_image(content):
    def damage(folder):
        (folder.root / "images/rgb-3-1.png").write_bytes(content(folder))

    return damage


def change(row, column, value):
    return lambda folder: folder.set(row, column, value)


def every_row(column, value):
    def damage(folder):
        for row in range(2, 15):
            folder.set(row, column, value)

    return damage


def no_labels(folder):
    every_row("defect:rot", "")(folder)
    every_row("defect:scar", "")(folder)


def one_class(folder):
    folder.to_multiclass(["sound"] * 12 + [""])


BAD = {
    "truncated PNG": (
        damage_image(lambda folder: (folder.root / "images/rgb-3-1.png").read_bytes()[:70]),
        "row 5, column image:rgb:1: 'images/rgb-3-1.png': unreadable image",
    ),
    "0-byte image": (damage_image(lambda _: b""), "row 5, column image:rgb:1: 'images/rgb-3-1.png': 0 bytes"),
    "wrong column": (
        lambda folder: folder.add_column("colour", ["red"] * 13),
        "column colour: unknown column",
    ),
    "duplicate id": (change(5, "fruit_id", "f0"), "row 5, column fruit_id: duplicate 'f0', already in row 2"),
    "pressure no number": (change(5, "pressure:tap", "soft"), "row 5, column pressure:tap: found 'soft'"),
    "one class only": (one_class, "one class only, 'sound'"),
    "fewer positives than folds": (every_row("defect:rot", "0"), "column defect:rot: 0 fruit with 1"),
    "no labelled fruit": (no_labels, "no labelled fruit"),
    "path that escapes": (
        change(5, "image:rgb:1", "../x.png"),
        "row 5, column image:rgb:1: path '../x.png' leaves",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_check_refuses_every_bad_input_in_one_line(folder, capsys, name):
    damage, message = BAD[name]
    damage(folder)
    code = run_command(main, ["check", str(folder.write())])
    out, err = capsys.readouterr()
    assert code == 2
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in out
    assert "Traceback" not in out + err


FILES = {
    "empty manifest": (b"", "manifest.csv: empty"),
    "non-UTF-8 manifest": (b"fruit_id\xff\n", "manifest.csv row 1: byte 0xFF is not UTF-8"),
}


@pytest.mark.parametrize("name", FILES)
def test_check_refuses_a_manifest_that_cannot_be_read(folder, capsys, name):
    content, message = FILES[name]
    (folder.write() / "manifest.csv").write_bytes(content)
    assert run_command(main, ["check", str(folder.root)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("side", [60_000, 10_000])
def test_a_bomb_is_refused_without_a_warning_beside_it(folder, png_header, side):
    """In a process of its own: the decoder's warning would be a second line on stderr."""
    (folder.root / "images/rgb-3-1.png").write_bytes(png_header(side, side))
    done = command("check", folder.write())
    assert done.returncode == 2
    assert "row 5, column image:rgb:1: 'images/rgb-3-1.png': image of" in done.stderr
    assert "expected at most 64 megapixels" in done.stderr
    assert done.stderr.count("\n") == 1


def test_check_of_a_good_folder(folder, capsys):
    root = folder.write()
    assert run_command(main, ["check", str(root)]) == 0
    assert capsys.readouterr().out == f"{root}: errors 0, warnings 0\n"


def test_check_as_json(folder, capsys):
    folder.set(5, "pressure:tap", "soft")
    folder.set(6, "image:rgb:1", "")
    assert run_command(main, ["check", str(folder.write()), "--json"]) == 2
    error, warning = json.loads(capsys.readouterr().out)
    assert (error["severity"], error["file"], error["row"], error["column"]) == (
        "error",
        "manifest.csv",
        5,
        "pressure:tap",
    )
    assert error["message"].startswith("found 'soft'")
    assert warning["severity"] == "warning"


def test_warnings_alone_do_not_refuse(folder, capsys):
    folder.set(6, "image:rgb:1", "")
    assert run_command(main, ["check", str(folder.write())]) == 0
    out, err = capsys.readouterr()
    assert "warning: manifest.csv, column image:rgb:1: missing" in out
    assert err == ""


def test_folds_decide_what_suffices(folder, capsys):
    root = folder.write()
    assert run_command(main, ["check", str(root), "--folds", "6"]) == 0
    assert run_command(main, ["check", str(root), "--folds", "7"]) == 2
    assert "expected at least 7 groups" in capsys.readouterr().err


ARGUMENTS = [
    [],
    ["paint"],
    ["check"],
    ["check", "nowhere"],
    ["check", ".", "--folds", "1"],
    ["check", ".", "--folds", "x"],
    ["synth", "out"],
    ["synth", "out", "--fruits", "-3"],
    ["import", "postcards", "here", "there"],
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_unusable_arguments_are_one_line(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_command(main, arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_import_help_names_every_kind_and_option(capsys):
    from backend.data.importers.registry import _IMPORTERS

    with pytest.raises(SystemExit):
        main(["import", "--help"])
    words = capsys.readouterr().out
    for kind, importer in _IMPORTERS.items():
        assert kind in words
        for option in importer.options:
            assert f"--{option.replace('_', '-')}" in words


def test_import_then_check(tmp_path):
    for name, level in (("good", 40), ("bad", 200)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(6):
            pixels = np.random.default_rng(level + i).integers(0, level, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    arguments = ["import", "folder", tmp_path / "photos", tmp_path / "set", "--healthy", "good", "--quiet"]
    assert run_command(main, list(map(str, arguments))) == 0
    assert run_command(main, ["check", str(tmp_path / "set")]) == 0


def test_synth_then_check(tmp_path):
    out = tmp_path / "new" / "set"
    made = command("synth", out, "--fruits", 24, "--seed", 3, "--size", 32, "--quiet")
    assert (made.returncode, made.stdout.strip()) == (0, str(out)), made.stderr
    with (out / "manifest.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 24
    checked = command("check", out, "--folds", 2, "--json")
    unreadable = [p for p in json.loads(checked.stdout) if p["row"] is not None]
    assert unreadable == []


@pytest.fixture(params=[signal.SIGTERM, signal.SIGHUP])
def number(request):
    """A signal that children heed: under nohup a hang-up is ignored, and so would they."""
    before = signal.signal(request.param, signal.default_int_handler)
    yield request.param
    signal.signal(request.param, before)


def test_a_stop_leaves_nothing_half_made(tmp_path, number):
    arguments = ["synth", str(tmp_path / "set"), "--fruits", "20000", "--size", "16", "--quiet"]
    with subprocess.Popen(
        [sys.executable, "-m", "backend.data", *arguments], stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".set-*.tmp/images")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert process.stderr.read().startswith("interrupted: ")
    assert list(tmp_path.iterdir()) == []

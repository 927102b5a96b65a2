"""Class folders, with and without split folders above them."""

import os

import pytest

from backend.data.importers import import_dataset
from backend.data.manifest import read_dataset
from backend.errors import ConfigError, DataError


@pytest.fixture
def source(tmp_path, save_picture):
    folder = tmp_path / "fruit"
    for number, name in enumerate(
        ["Good/a.png", "Good/b.JPG", "Good/deep/er/a.png", "rot/a.png", "rot/b.tif", "scar/c.png"]
    ):
        save_picture(folder / name, number)
    (folder / "rot" / "notes.txt").write_text("no picture")
    (folder / "rot" / "._a.png").write_text("left by a Mac")
    (folder / ".git").mkdir()
    (folder / "readme.md").write_text("x")
    return folder


def run(source, out, **options):
    import_dataset("folder", str(source), out, progress=False, **options)
    return read_dataset(out)


def test_classes_nested_files_and_any_suffix(source, tmp_path):
    data = run(source, tmp_path / "out")
    assert data.task == "multiclass"
    assert data.defect_names == ("Good", "rot", "scar")
    assert data.healthy == "Good"
    assert data.fixed_split is None
    assert not data.synthetic
    labels = dict(zip(data.fruit_ids, data.labels.argmax(axis=1), strict=True))
    assert labels == {
        "Good-a": 0, "Good-b": 0, "Good-deep-er-a": 0, "rot-a": 1, "rot-b": 1, "scar-c": 2,
    }  # fmt: skip
    paths = dict(zip(data.fruit_ids, data.paths["rgb", "1"], strict=True))
    assert paths["rot-b"].endswith(".tif")
    copied = tmp_path / "out" / paths["Good-deep-er-a"]
    assert copied.read_bytes() == (source / "Good/deep/er/a.png").read_bytes()


@pytest.mark.parametrize(
    "name", [".thumbnails/a.png", "deep/.cache/a.png", "__MACOSX/a.png", "deep/@eaDir/a.jpg"]
)
def test_thumbnails_and_hidden_copies_are_no_fruit(tmp_path, save_picture, name):
    source = tmp_path / ".cache" / "src"  # a hidden folder above the source hides nothing
    for number, file in enumerate(["good/a.png", "bad/a.png", f"bad/{name}", "@eaDir/a.png"]):
        save_picture(source / file, number)
    assert run(source, tmp_path / "out").fruit_ids == ("bad-a", "good-a")


def test_files_of_other_kinds_are_left_out_with_a_note(source, tmp_path, capsys):
    (source / "scar" / "b.HEIC").write_text("from a telephone")
    assert len(run(source, tmp_path / "out")) == 6
    note = capsys.readouterr().err
    assert "left out 2 files that do not end in .bmp, .jpeg, " in note
    assert note.endswith(", the first 'rot/notes.txt'\n")


def test_split_folders_become_the_split_column(tmp_path, save_picture):
    for number, part in enumerate(["train", "Validation", "test"]):
        save_picture(tmp_path / "src" / part / "ok" / "1.png", number)
        save_picture(tmp_path / "src" / part / "bad" / "1.png", number + 10)
    data = run(tmp_path / "src", tmp_path / "out")
    assert set(data.fixed_split) == {"train", "val", "test"}
    assert len(set(data.fruit_ids)) == 6
    assert dict(zip(data.fruit_ids, data.fixed_split, strict=True))["Validation-ok-1"] == "val"
    assert data.healthy == "ok"


def test_parts_without_a_test_part_are_put_together_with_a_note(tmp_path, save_picture, capsys):
    for part in ("train", "val"):
        for label in ("ok", "bad"):
            save_picture(tmp_path / "src" / part / label / "1.png")
    assert run(tmp_path / "src", tmp_path / "out").fixed_split is None
    assert "no train and test part" in capsys.readouterr().err


def test_the_healthy_class_is_asked_guessed_or_the_most_frequent(tmp_path, save_picture, capsys):
    for number, name in enumerate(["x/1.png", "y/1.png", "y/2.png"]):
        save_picture(tmp_path / "src" / name, number)
    assert run(tmp_path / "src", tmp_path / "a", healthy="x").healthy == "x"
    assert capsys.readouterr().err == ""
    assert run(tmp_path / "src", tmp_path / "b").healthy == "y"
    assert "'y', the most frequent" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"unknown class 'z'.*x, y"):
        run(tmp_path / "src", tmp_path / "c", healthy="z")


@pytest.mark.parametrize("name", ["A_Quality", "Healthy", "good", "Normal", "ok"])
def test_usual_words_for_healthy_are_known(tmp_path, save_picture, name):
    for number, label in enumerate([name, "aaa", "zzz"]):
        save_picture(tmp_path / "src" / label / "1.png", number)
    assert run(tmp_path / "src", tmp_path / "out").healthy == name


def test_names_that_collide_or_are_odd_still_get_their_own_id(tmp_path, save_picture):
    for number, name in enumerate(["a/ü.png", "a/é.png", "a/1.png", "a/1.jpg", f"b/{'n' * 90}.png"]):
        save_picture(tmp_path / "src" / name, number)
    data = run(tmp_path / "src", tmp_path / "out", healthy="a")
    assert len(set(data.fruit_ids)) == 5


@pytest.mark.parametrize("name", [b" ", b"two\nlines", b"\xff", b"n" * 129])
def test_a_class_that_no_data_set_may_name_is_refused(tmp_path, save_picture, name):
    source = tmp_path / "src"
    save_picture(source / "good" / "1.png")
    save_picture(source / os.fsdecode(name) / "1.png")
    with pytest.raises(
        DataError, match=r"src: class name .*; expected 1 to 128 printable .*; rename the class"
    ):
        run(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["src"]


def test_a_source_whose_name_is_not_utf8_gives_a_data_set_that_is_read(tmp_path, save_picture):
    for number, label in enumerate(("good", "bad")):
        save_picture(tmp_path / os.fsdecode(b"caf\xe9") / label / "1.png", number)
    assert run(tmp_path / os.fsdecode(b"caf\xe9"), tmp_path / "out").name == "caf\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no class folders"),
        (["train/x.png"], r"train: no class folders"),
        (["a/1.png", "b/notes.txt"], r"b: class folder without images"),
        (["train/a/1.png", "a/1.png"], "both train/ and a/"),
    ],
)
def test_what_is_no_collection_says_why_and_leaves_nothing(tmp_path, save_picture, files, message):
    source = tmp_path / "src"
    source.mkdir()
    for name in files:
        if name.endswith(".png"):
            save_picture(source / name)
        else:
            (source / name).parent.mkdir(parents=True)
            (source / name).write_text("x")
    with pytest.raises(DataError, match=message):
        run(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["src"]


def test_a_file_is_no_source(tmp_path):
    (tmp_path / "src").write_text("x")
    with pytest.raises(DataError, match="not a folder"):
        run(tmp_path / "src", tmp_path / "out")

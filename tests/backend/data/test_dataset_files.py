"""The files of a data set: encodings, links, and what each of the two text files must hold."""

import pytest

from backend.data.manifest import read_dataset, read_manifest
from backend.data.problem import Problems
from backend.errors import DataError


def test_bom_and_windows_line_ends_do_not_matter(folder):
    plain = read_dataset(folder.write())
    marked = read_dataset(folder.write(encoding="utf-8-sig", line_end="\r\n"))
    assert (plain.dataset_id, plain.fruit_ids) == (marked.dataset_id, marked.fruit_ids)


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
def test_wrong_dataset_toml(folder, refusal, old, new, message):
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


def test_links_out_of_the_folder_are_refused_and_links_within_are_not(folder, refusal):
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

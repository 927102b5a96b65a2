"""Check finds everything at once: in the text files, in the labels and in the pixels."""

import itertools
import time

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from backend.data import check_images, parallel
from backend.data.check import check_dataset
from backend.data.duplicates import NEAR, near_duplicates
from backend.errors import DataError


def found(folder, folds=2, severity="error", **options) -> list[str]:
    problems = check_dataset(folder.write(), folds, **options)
    return [str(problem) for problem in problems if problem.severity == severity]


def test_a_good_folder_has_no_problem(folder):
    assert check_dataset(folder.write(), folds=5) == []


def test_a_folder_is_needed(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        check_dataset(tmp_path / "nowhere")


def test_everything_is_reported_at_once(folder, png_header):
    images = folder.root / "images"
    (images / "rgb-0-1.png").write_bytes((images / "rgb-0-1.png").read_bytes()[:90])
    (images / "rgb-1-1.png").write_bytes(b"")
    (images / "rgb-2-1.png").write_bytes(png_header(60_000, 60_000))
    (images / "rgb-3-1.png").unlink()
    folder.set(6, "fruit_id", "f0")
    folder.set(7, "pressure:tap", "soft")
    folder.set(8, "defect:rot", "maybe")
    folder.set(9, "image:nir:1", "../nir.png")
    folder.add_column("colour", ["red"] * 13)
    for row in range(2, 15):
        folder.set(row, "defect:scar", "0")
    lines = found(folder)
    expected = [
        "error: manifest.csv row 1, column colour: unknown column",
        "error: manifest.csv row 6, column fruit_id: duplicate 'f0'",
        "error: manifest.csv row 7, column pressure:tap: found 'soft'",
        "error: manifest.csv row 5, column image:rgb:1: missing image",
        "error: manifest.csv row 9, column image:nir:1: path '../nir.png' leaves",
        "error: manifest.csv row 8, column defect:rot: found 'maybe'",
        "error: manifest.csv, column defect:scar: 0 fruit with 1 in 0 groups",
        "error: manifest.csv row 2, column image:rgb:1: 'images/rgb-0-1.png': unreadable image",
        "error: manifest.csv row 3, column image:rgb:1: 'images/rgb-1-1.png': 0 bytes",
        "error: manifest.csv row 4, column image:rgb:1: 'images/rgb-2-1.png': image of 3600000000 pixels",
    ]
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)
    assert all(line.isprintable() for line in lines)


def test_names_with_spaces_around_them_are_all_that_is_wrong_with_their_columns(folder):
    """As where somebody typed ``fruit_id, group``; that columns seem to be missing follows from it."""
    folder.header[1:] = [f" {name}" for name in folder.header[1:-1]] + ["image:nir:1\u00a0"]
    lines = [line for line in found(folder) if "manifest.csv row 1" in line]
    assert len(lines) == len(folder.header) - 1
    ending = "spaces around the name; remove the spaces, around the words below it too"
    assert lines[0] == f"error: manifest.csv row 1, column ' group': {ending}"
    assert lines[-1] == f"error: manifest.csv row 1, column 'image:nir:1\\xa0': {ending}"
    assert all(ending in line for line in lines)


def test_pixels_can_be_left_out(folder):
    (folder.root / "images/rgb-1-1.png").write_bytes(b"")
    assert found(folder, images=False) == []


def test_more_processes_find_the_same(folder, monkeypatch):
    (folder.root / "images/rgb-1-1.png").write_bytes(b"")
    alone = found(folder, workers=1)
    monkeypatch.setattr(parallel, "IMAGES_PER_WORKER", 1)
    monkeypatch.setattr(check_images, "_TASK_IMAGES", 4)
    assert found(folder, workers=2) == alone != []


def test_a_second_check_of_good_images_decodes_nothing(folder, tmp_path, monkeypatch):
    Image.new("L", (12, 12), 0).save(folder.root / "images/nir-3-1.png")
    Image.open(folder.root / "images/rgb-2-1.png").save(folder.root / "images/rgb-5-1.png")
    first = found(folder, severity="warning", cache_dir=tmp_path / "cache")
    assert len(first) == 2
    monkeypatch.setattr(check_images, "look_at_images", lambda paths: pytest.fail("decoded again"))
    assert found(folder, severity="warning", cache_dir=tmp_path / "cache") == first


@pytest.mark.parametrize("damage", [b"", b"x" * 200])
def test_a_damaged_memory_of_a_check_is_ignored(folder, tmp_path, damage):
    assert found(folder, cache_dir=tmp_path / "cache") == []
    (memo,) = (tmp_path / "cache").glob("findings-*")
    memo.write_bytes(damage)
    assert found(folder, cache_dir=tmp_path / "cache") == []


def test_broken_images_are_not_remembered_as_good(folder, tmp_path):
    (folder.root / "images/rgb-1-1.png").write_bytes(b"")
    for _ in range(2):
        assert len(found(folder, cache_dir=tmp_path / "cache")) == 1


# --- labels ------------------------------------------------------------------------------------------


def test_no_labelled_fruit(folder):
    for row in range(2, 15):
        folder.set(row, "defect:rot", "")
        folder.set(row, "defect:scar", "")
    (line,) = found(folder)
    assert "no labelled fruit" in line


def test_one_class_only(folder):
    folder.to_multiclass(["sound"] * 12 + [""])
    (line,) = found(folder)
    assert "column label: one class only, 'sound'; expected two or more" in line


def test_a_defect_that_no_fruit_or_every_fruit_has(folder):
    for row in range(2, 14):
        folder.set(row, "defect:rot", "1")
        folder.set(row, "defect:scar", "0")
    no_healthy, no_scar = found(folder)
    assert "column defect:rot: 0 fruit with 0 in 0 groups; expected at least 2 groups" in no_healthy
    assert "column defect:scar: 0 fruit with 1 in 0 groups; expected at least 2 groups" in no_scar


@pytest.mark.parametrize(("folds", "refused"), [(3, False), (4, True)])
def test_each_label_needs_as_many_groups_as_folds(folder, folds, refused):
    """Six fruit have rot, but they sit on three pallets."""
    for row in range(2, 14):
        folder.set(row, "group", f"pallet{(row - 2) // 4}")
    lines = found(folder, folds)
    assert bool(lines) == refused
    if refused:
        assert (
            "column defect:rot: 6 fruit with 1 in 3 groups; expected at least 4 groups, one per" in lines[0]
        )
        assert "use at most 3 folds, label more or remove it" in lines[0]


def test_a_rare_class_is_named(folder):
    folder.to_multiclass(["sound", "mould"] * 5 + ["bruise", "sound", ""])
    (line,) = found(folder)
    assert "column label: 1 fruit with class 'bruise' in 1 groups" in line


def test_a_fixed_split_needs_every_label_in_training(folder):
    folder.to_multiclass(["sound", "mould"] * 5 + ["bruise", "gone", ""])
    words = ["train"] * 6 + ["val"] * 2 + ["test"] * 3 + ["train", ""]
    folder.add_column("split", words)
    (error,) = found(folder, folds=5)
    assert "no training fruit with class 'bruise'" in error
    warnings = found(folder, severity="warning")
    assert "no test fruit with class 'gone'; its metrics will stay empty" in warnings[0]
    assert len(warnings) == 1


def test_labels_outside_a_fixed_split_are_pointed_out(folder):
    folder.add_column("split", ["train"] * 7 + ["test"] * 4 + ["", ""])
    (warning,) = found(folder, severity="warning")
    assert "column split: 1 labelled fruit name no part of the fixed split; they are trained on" in warning


# --- warnings ----------------------------------------------------------------------------------------


def test_an_empty_unlabelled_pool_is_a_warning(folder):
    folder.set(14, "defect:rot", "1")
    (warning,) = found(folder, severity="warning")
    assert "every fruit is labelled" in warning


def test_missing_views_and_readings_are_counted(folder):
    folder.set(2, "image:rgb:2", "")
    for row in range(2, 8):
        folder.set(row, "pressure:tap", "")
    view, reading = found(folder, severity="warning")
    assert "column image:rgb:2: missing for 7.7% of the fruit (1 of 13)" in view
    assert "column pressure:tap: missing for 46.2% of the fruit (6 of 13)" in reading


def test_fruit_that_nothing_saw_are_refused(folder):
    for column in folder.header[4:]:
        for row in range(2, len(folder.rows) + 2):
            folder.set(row, column, "")
    assert found(folder) == [
        "error: manifest.csv: no fruit has an image or a reading; fill in what the sensors saw"
    ]


def test_a_fruit_that_no_sensor_saw_is_pointed_out(folder):
    for column in folder.header[4:]:
        folder.set(9, column, "")
    assert (
        "1 fruit have neither image nor reading, the first in row 9" in found(folder, severity="warning")[-1]
    )


def test_flat_images_are_counted(folder):
    for i in (3, 5):
        Image.new("L", (12, 12), 0).save(folder.root / f"images/nir-{i}-1.png")
    (warning,) = found(folder, severity="warning")
    assert "column image:nir:1: 2 images are a single flat colour, the first in row 5" in warning


def test_groups_that_differ_in_case_are_pointed_out(folder):
    for row, group in ((4, "Pallet-7"), (6, "pallet-7"), (7, "pallet-7"), (8, "PALLET-7"), (9, "Pallet-7")):
        folder.set(row, "group", group)
    first, second = found(folder, severity="warning")
    assert first == (
        "warning: manifest.csv row 6, column group: 'pallet-7' here and 'Pallet-7' in row 4 are two groups, "
        "and one pallet could sit on both sides of a split; spell them alike"
    )
    assert "row 8, column group: 'PALLET-7' here and 'Pallet-7' in row 4" in second


@pytest.mark.parametrize("group", ["nan", "NA", "null", "None"])
def test_a_group_that_may_stand_for_an_empty_cell_is_pointed_out(folder, group):
    for row in (4, 6):
        folder.set(row, "group", group)
    folder.set(8, "group", "")
    folder.set(9, "group", "")
    (warning,) = found(folder, severity="warning")
    assert (
        f"row 4, column group: '{group}' names a group like any other word; leave the cell empty" in warning
    )


# --- near-duplicates ---------------------------------------------------------------------------------


def near_copy(source, target, how) -> None:
    image = Image.open(source)
    copies = {
        "same": lambda: image,
        "brighter": lambda: ImageEnhance.Brightness(image).enhance(1.1),
        "larger": lambda: image.resize((200, 200), Image.Resampling.BICUBIC),
    }
    copies[how]().save(target)


@pytest.fixture
def textured(new_folder):
    """Images with some structure, as photographs have; of pure noise no copy survives a change of size."""
    folder = new_folder(size=96)
    rng = np.random.default_rng(1)
    for path in sorted(folder.root.glob("images/*.png")):
        small = Image.fromarray(rng.integers(60, 180, (9, 9, 3), dtype=np.uint8))
        small.resize((96, 96), Image.Resampling.BICUBIC).convert(Image.open(path).mode).save(path)
    return folder


@pytest.mark.parametrize("how", ["same", "brighter", "larger"])
def test_near_duplicates_across_groups_are_pointed_out(textured, how):
    images = textured.root / "images"
    near_copy(images / "rgb-1-1.png", images / "rgb-6-2.png", how)
    (warning,) = found(textured, severity="warning")
    assert (
        "row 8, column image:rgb:2: 'images/rgb-6-2.png' looks like 'images/rgb-1-1.png' of row 3" in warning
    )


def test_near_duplicates_within_a_group_are_fine(textured):
    images = textured.root / "images"
    near_copy(images / "rgb-1-1.png", images / "rgb-6-2.png", "same")
    textured.set(8, "group", textured.get(3, "group"))
    assert found(textured, severity="warning") == []


def test_many_copies_are_one_line(textured):
    images = textured.root / "images"
    for i in (4, 6, 9):
        near_copy(images / "nir-1-1.png", images / f"nir-{i}-1.png", "same")
    (warning,) = found(textured, severity="warning")
    assert (
        "row 6, column image:nir:1: 'images/nir-4-1.png' looks like 'images/nir-1-1.png' of row 3 and 2 more"
        in warning
    )


def brute_force(hashes, groups) -> set[tuple[int, int]]:
    return {
        (a, b)
        for a, b in itertools.combinations(range(len(hashes)), 2)
        if groups[a] != groups[b] and np.bitwise_count(hashes[a] ^ hashes[b]).sum() <= NEAR
    }


def flipped(rng, words, bits):
    """``words`` with ``bits`` of its bits changed."""
    mask = np.zeros(256, dtype=np.uint8)
    mask[rng.choice(256, bits, replace=False)] = 1
    return words ^ np.packbits(mask).view(np.uint64)


@pytest.mark.parametrize("seed", range(5))
def test_no_near_duplicate_is_missed_up_to_the_limit(seed):
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**63, (60, 4), dtype=np.uint64)
    for i in range(0, 60, 3):
        hashes[i + 1] = flipped(rng, hashes[i], NEAR)
        hashes[i + 2] = flipped(rng, hashes[i], NEAR + 1)
    groups = rng.integers(0, 30, 60)
    clusters = near_duplicates(hashes, groups)
    expected = brute_force(hashes, groups)
    linked = {frozenset(pair) for pair in expected}
    assert {i for cluster in clusters for i in cluster} == {i for pair in linked for i in pair}
    assert all(any(set(pair) <= set(cluster) for cluster in clusters) for pair in linked)
    assert len(clusters) > 5


@pytest.mark.parametrize("spared", range(NEAR + 1))
def test_a_pair_that_shares_a_single_part_is_found(spared):
    """The worst case: every part of the hash but one has a bit changed."""
    changed = np.zeros(256, dtype=np.uint8)
    changed[[bit for bit in range(NEAR + 1) if bit != spared]] = 1
    hashes = np.random.default_rng(0).integers(0, 2**63, (2, 4), dtype=np.uint64)
    hashes[1] = hashes[0] ^ np.packbits(changed).view(np.uint64)
    assert near_duplicates(hashes, np.arange(2)) == [[0, 1]]


def test_finding_near_duplicates_scales():
    """All pairs of 60,000 would be 1.8 billion comparisons."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, (60_000, 4), dtype=np.uint64)
    hashes[50_000] = flipped(rng, hashes[10], 5)
    start = time.process_time()
    assert near_duplicates(hashes, np.arange(60_000)) == [[10, 50_000]]
    assert time.process_time() - start < 10

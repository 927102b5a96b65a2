"""Planted oddities are found, and nothing else: copies, contradictions, drifting pallets, dead sensors."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.data.cache import open_cache
from backend.data.check_images import Looking, hashed_images
from backend.data.dataset import FruitDataset
from backend.data.manifest import read_dataset
from backend.explain.data_report import (
    conflict_findings,
    drift_findings,
    duplicate_findings,
    outlier_findings,
    sensor_findings,
)
from backend.explain.pairs import similar_fruit
from backend.explain.sensors import SensorReadings, find_drift, read_sensors


def copy(folder: Path, source: str, target: str) -> None:
    """Put the picture of one fruit in the place of another's."""
    shutil.copyfile(folder / f"images/{source}.png", folder / f"images/{target}.png")


@pytest.fixture
def folder(multilabel_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(multilabel_folder, tmp_path / "data")


def looked_at(folder: Path) -> tuple[FruitDataset, list]:
    dataset = read_dataset(folder)
    return dataset, similar_fruit(*hashed_images(dataset, Looking(folder, None, 1, progress=False)))


def test_different_fruit_are_no_duplicates(multilabel_folder):
    dataset, pairs = looked_at(multilabel_folder)
    assert pairs == []
    places, hashes = hashed_images(dataset, Looking(dataset.root, None, 1, progress=False))
    assert len(places) == len(hashes) == sum(bool(path) for paths in dataset.paths.values() for path in paths)


def test_copies_within_and_across_groups_are_found_once(folder):
    copy(folder, "40-rgb-2", "20-rgb-1")
    copy(folder, "40-rgb-1", "20-rgb-2")
    copy(folder, "30-rgb-1", "31-rgb-1")
    dataset, pairs = looked_at(folder)
    rows = duplicate_findings(pairs, dataset)
    found = {(row.fruit_id, row.other_id): row.detail["same_group"] for row in rows}
    assert len(rows) == 2
    assert found == {("f020", "f040"): False, ("f030", "f031"): True}
    assert {(row.kind, row.subject, row.value, row.detail["sensor"]) for row in rows} == {
        ("duplicate", "", 0.0, "rgb")
    }


def test_a_brightened_copy_is_found_with_its_distance(folder):
    original = np.asarray(Image.open(folder / "images/50-nir-1.png")).astype(float)
    Image.fromarray(np.clip(original * 1.1, 0, 255).astype(np.uint8)).save(folder / "images/51-nir-1.png")
    dataset, pairs = looked_at(folder)
    assert [(dataset.fruit_ids[p.first], dataset.fruit_ids[p.second]) for p in pairs] == [("f050", "f051")]
    assert 0 <= pairs[0].distance <= 12


def test_very_many_equal_pictures_stay_within_bounds(folder, monkeypatch):
    monkeypatch.setattr("backend.explain.pairs._PAIRS_PER_CLUSTER", 72)
    for i in range(1, 72):
        copy(folder, "0-nir-1", f"{i}-nir-1")
    _, pairs = looked_at(folder)
    assert [(p.first, p.second) for p in pairs] == [(i, i + 1) for i in range(71)]


def test_copies_that_disagree_are_conflicts(folder):
    copy(folder, "40-rgb-1", "21-rgb-1")  # f040 has nothing, f021 has rot and scar
    copy(folder, "60-rgb-1", "3-rgb-1")  # f003 is not labelled: nothing to disagree about
    dataset, pairs = looked_at(folder)
    assert len(pairs) == 2
    conflicts = conflict_findings(pairs, dataset)
    assert [(c.subject, c.fruit_id, c.other_id, c.detail["given"], c.detail["other"]) for c in conflicts] == [
        ("rot", "f021", "f040", "rot", "none"),
        ("scar", "f021", "f040", "scar", "none"),
    ]


def test_classes_that_disagree_are_one_conflict(multiclass_folder, tmp_path):
    folder = shutil.copytree(multiclass_folder, tmp_path / "data")
    for name in ("10", "12"):  # red and fine
        copy(folder, "9", name)  # fine
    dataset, pairs = looked_at(folder)
    assert len(pairs) == 3
    conflicts = conflict_findings(pairs, dataset)
    assert [(c.subject, c.fruit_id, c.detail["given"], c.detail["other"]) for c in conflicts] == [
        ("fine", "f009", "fine", "red"),
        ("red", "f010", "red", "fine"),
    ]


def test_sensors_are_described_by_their_pixels(folder, tmp_path):
    white = np.full((16, 16, 3), 255, np.uint8)
    for i in range(36):
        Image.fromarray(white).save(folder / f"images/{i}-rgb-1.png")
    dataset = read_dataset(folder)
    rgb, nir, tap = read_sensors(dataset, open_cache(dataset, 16, tmp_path / "cache", progress=False))
    paths = [path for view in ("1", "2") for path in dataset.paths["rgb", view] if path]
    pixels = np.stack([np.asarray(Image.open(folder / path)) for path in paths]) / 255
    assert rgb.mean == pytest.approx(pixels.mean())
    assert rgb.std == pytest.approx(pixels.std())
    assert rgb.saturated == pytest.approx((pixels == 1).mean())
    assert rgb.missing == pytest.approx(1 - len(paths) / 144)
    assert rgb.channels == ("red", "green", "blue")
    second = np.asarray(Image.open(folder / "images/7-rgb-2.png")) / 255
    np.testing.assert_allclose(rgb.means[7], (1 + second.mean(axis=(0, 1))) / 2)
    assert (nir.name, nir.channels, nir.missing) == ("nir", ("channel 1",), 0)
    readings = dataset.pressures[:, 0]
    assert (tap.name, tap.saturated) == ("pressure:tap", None)
    assert tap.mean == pytest.approx(np.nanmean(readings), rel=1e-6)
    assert tap.missing == pytest.approx(np.isnan(readings).mean())
    rows = {row.subject: row for row in sensor_findings([rgb, nir, tap])}
    assert rows["rgb"].value == rgb.mean
    assert rows["rgb"].detail["channels"]["green"] == pytest.approx(pixels[..., 1].mean(), abs=0.02)
    assert set(rows["pressure:tap"].detail) >= {"mean", "std", "missing", "saturated"}


def test_a_sensor_without_a_single_picture_has_no_numbers(folder, tmp_path):
    with (folder / "manifest.csv").open(newline="") as file:
        rows = [row | {"image:nir:1": ""} for row in csv.DictReader(file)]
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    dataset = read_dataset(folder)
    cache = open_cache(dataset, 16, tmp_path / "cache", progress=False)
    nir = next(sensor for sensor in read_sensors(dataset, cache) if sensor.name == "nir")
    assert nir.missing == 1
    assert np.isnan([nir.mean, nir.std, nir.saturated]).all()
    assert find_drift([nir], np.asarray(dataset.groups)) == []


def readings(means: np.ndarray, name: str = "rgb") -> SensorReadings:
    names = ("red", "green", "blue")[: means.shape[1]]
    return SensorReadings(name, names, means, float(np.nanmean(means)), float(np.nanstd(means)), 0.0)


def test_a_pallet_in_another_light_drifts_and_the_others_do_not():
    rng = np.random.default_rng(0)
    groups = np.repeat([f"p{i:02d}" for i in range(20)], 12)
    means = rng.normal(0.5, 0.1, (240, 3))
    means[groups == "p07", 2] -= 0.3
    found = find_drift([readings(means)], groups)
    assert [(drift.group, drift.channel, drift.fruit) for drift in found] == [("p07", "blue", 12)]
    assert -4 < found[0].difference < -2
    assert found[0].p_adjusted < 1e-4
    row = drift_findings(found)[0]
    assert (row.kind, row.subject, row.value) == ("drift", "rgb · p07", found[0].difference)


@pytest.mark.slow
def test_chance_alone_rarely_drifts_however_many_groups():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(40).astype(str), 10)
    alarms = sum(bool(find_drift([readings(rng.normal(size=(400, 3)))], groups)) for _ in range(12))
    assert alarms <= 2  # of 12 studies; of 120 questions each, 6 would be answered falsely without correction


def test_the_difference_is_that_of_the_textbook():
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(2, 1, 15), rng.normal(0, 2, 25)])
    groups = np.repeat(["a", "b"], [15, 25])
    a, b = values[:15], values[15:]
    found = {drift.group: drift for drift in find_drift([readings(values[:, None])], groups)}
    pooled = np.sqrt((14 * a.var(ddof=1) + 24 * b.var(ddof=1)) / 38)
    assert found["a"].difference == pytest.approx((a.mean() - b.mean()) / pooled * (1 - 3 / (4 * 40 - 9)))
    assert found["b"].difference == pytest.approx(-found["a"].difference)
    # Holm: the smaller of two equal p-values is doubled, and the other can be no smaller.
    assert found["a"].p_adjusted == pytest.approx(2 * ttest_ind(a, b, equal_var=False).pvalue)


def test_fruit_without_reading_and_single_fruit_groups_are_left_out():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(40, 1))
    groups = np.array([*["a"] * 20, *["b"] * 18, "c", "d"])
    values[-2:] = 1e3  # two groups of one fruit each
    values[:3] = np.nan
    found = find_drift([readings(values)], groups)
    assert {drift.group for drift in found} <= {"a", "b"}


def test_outliers_are_rows_of_fruit():
    rows = outlier_findings(["f3", "f9"], [12.5, 7.0], "run")
    assert [(r.kind, r.fruit_id, r.value, r.run_id) for r in rows] == [
        ("outlier", "f3", 12.5, "run"),
        ("outlier", "f9", 7.0, "run"),
    ]

"""Planted truth: each defect leaves a trace in its own sensor or view and nowhere else."""

import csv

import numpy as np
import pytest
from PIL import Image

from backend.data.manifest import read_dataset
from backend.data.synth.fruit import VIEWS
from backend.data.synth.make import Request
from backend.data.synth.planted import DEFAULT_SPEC, Plant, draw_planted, main, make_planted, parse_plant
from backend.data.synth.render import render
from backend.errors import ConfigError

FRUITS = 120


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    out = tmp_path_factory.mktemp("planted") / "set"
    make_planted(out, FRUITS, seed=0, size=32, progress=False)
    return out


def test_the_reader_takes_it(planted):
    data = read_dataset(planted)
    assert data.defect_names == ("a", "b", "c")
    assert data.synthetic
    assert not np.isnan(data.labels).any()
    assert not np.isnan(data.pressures).any()
    assert all(path for paths in data.paths.values() for path in paths)
    assert ((data.labels.mean(axis=0) > 0.15) & (data.labels.mean(axis=0) < 0.45)).all()


def test_labels_are_the_truth(planted):
    with (planted / "manifest.csv").open() as a, (planted / "truth.csv").open() as b:
        for row, right in zip(csv.DictReader(a), csv.DictReader(b), strict=True):
            assert all(row[f"defect:{name}"] == right[f"defect:{name}"] for name in "abc")


def test_pressure_alone_tells_b(planted):
    data = read_dataset(planted)
    has_b = data.labels[:, 1] == 1
    weakest = data.pressures[:, :3].min(axis=1)
    assert weakest[has_b].max() < weakest[~has_b].min()
    has_a = (data.labels[:, 0] == 1) & ~has_b
    others = ~has_b & ~has_a
    assert abs(weakest[has_a].mean() - weakest[others].mean()) < 2


def test_masks_are_only_in_the_view_that_shows_the_defect(planted):
    with (planted / "masks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["defect"] for row in rows} == {"a", "c"}
    assert {row["view"] for row in rows if row["defect"] == "c"} == {"2"}
    labels = dict(zip(read_dataset(planted).fruit_ids, read_dataset(planted).labels, strict=True))
    assert {row["fruit_id"] for row in rows if row["defect"] == "c"} == {
        fruit for fruit, label in labels.items() if label[2] == 1
    }
    with Image.open(planted / rows[0]["path"]) as mask:
        assert np.asarray(mask).any()


@pytest.mark.parametrize("where", ["rgb", "nir", "rgb:2", "nir:4", "pressure"])
def test_a_planted_defect_is_invisible_elsewhere(where):
    plants = (parse_plant("x", where),)
    batch = draw_planted(plants, Request(12, 0), 0, np.random.default_rng(3))
    sound = np.zeros_like(batch.fruit.severity)
    batch.fruit.severity[:] = 0.8
    ill = render(np.random.default_rng(1), batch.fruit, batch.pallet, batch.painters, 32)
    batch.fruit.severity[:] = sound
    well = render(np.random.default_rng(1), batch.fruit, batch.pallet, batch.painters, 32)
    for sensor in ("rgb", "nir"):
        a, b = getattr(ill, sensor), getattr(well, sensor)
        for v, view in enumerate(VIEWS):
            differs = (a[:, v] != b[:, v]).reshape(12, -1).any(axis=1)
            if plants[0].sensor == sensor and plants[0].view == view:
                assert differs.all()
            elif plants[0].sensor != sensor or plants[0].view:
                assert not differs.any()


def test_specs_are_read():
    assert parse_plant("c", "rgb:2") == Plant("c", "rgb", "2")
    assert DEFAULT_SPEC["b"] == "pressure"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"a": "xray"}, "rgb, nir, pressure"),
        ({"a": "rgb:5"}, "'rgb:5'"),
        ({"a": "rgb:"}, "'rgb:'"),
        ({"a": "pressure:1"}, "'pressure:1'"),
        ({"a/b": "rgb"}, "names of letters"),
        ({}, "no defect"),
    ],
)
def test_a_spec_that_cannot_be_planted_says_why(tmp_path, spec, message):
    with pytest.raises(ConfigError, match=message):
        make_planted(tmp_path / "set", 2, 0, spec)


def test_the_command_makes_one(tmp_path):
    assert main([str(tmp_path / "set"), "--fruits", "2", "--seed", "1"]) == 0
    assert len(read_dataset(tmp_path / "set")) == 2

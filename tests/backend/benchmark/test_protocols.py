"""Retrieval, layers, coresets, shifted digits and speed, each on tiny data."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import store as store_script  # of benchmarks/
import torch

from backend.benchmark import coreset, drlim, encoding, protocols, retrieval, shifted_digits, speed
from backend.benchmark.bench import Result, StudyFacts
from backend.benchmark.options import Options
from backend.benchmark.registry import BENCHMARKS
from backend.benchmark.table import Score
from backend.cli import run_command
from backend.errors import TrainingError


def test_retrieval(benchmark_command, cifar_folders, monkeypatch):
    monkeypatch.setattr(retrieval, "METHODS", {"random_init": "random weights", "rotation": "RotNet"})
    options = ("--data", "cifar10", "--root", cifar_folders, "--quick", "--device", "cpu", "--json")
    code, out, err = benchmark_command("retrieval", *options)
    assert code == 0, err
    rows = json.loads(out)[0]["tables"][0]["rows"]
    assert {row["pretraining"] for row in rows} == {"random weights", "RotNet"}
    values = [row["mAP"]["value"] for row in rows]
    assert values == sorted(values, reverse=True)
    assert all(row["R@1"]["value"] <= row["R@5"]["value"] <= row["R@10"]["value"] for row in rows)


def test_layers_and_few_labels_and_what_cannot_be_set_on_grey(benchmark_command, mnist_raw, monkeypatch):
    kept = [i for i in protocols.list_methods() if i.name in ("rotation", "colourisation")]
    monkeypatch.setattr(protocols, "list_methods", lambda family: kept)
    options = ("--root", mnist_raw, "--quick", "--device", "cpu", "--json")
    code, out, err = benchmark_command("protocols", *options)
    assert code == 0, err
    found = json.loads(out)[0]
    layers, others = found["tables"]
    assert [row["pretraining"] for row in layers["rows"]] == ["random_init", "rotation"]
    assert layers["rows"][1]["layer 4"]["value"] is not None
    assert set(layers["rows"][0]) == {"pretraining", "layer 1", "layer 2", "layer 3", "layer 4"}
    assert 0 <= others["rows"][1]["1% labels"]["value"] <= others["rows"][1]["NMI"]["value"] + 1
    assert found["failures"] == []


@pytest.mark.parametrize(("numbers", "cells"), [(0, 1), (8, 1), (15, 1), (16, 2), (40, 3), (10_000, 4)])
def test_a_map_is_averaged_over_the_finest_grid_that_fits(numbers, cells):
    maps = torch.rand(2, 4, 4, 6)
    pooled = encoding._pooled(maps, numbers)
    assert pooled.shape == (2, 4 * cells**2)
    if cells == 2:
        corner = pooled.reshape(2, 4, 2, 2)[:, :, 0, 0]
        torch.testing.assert_close(corner, maps[:, :, :2, :3].mean((2, 3)))


def test_cells_of_an_earlier_measure_are_not_mixed_in():
    facts = StudyFacts("protocols", "s", "MNIST", (), False, {})
    old, new = (
        Result("rotation", {"images": 10} | extra, 0, {"probe_accuracy:layer1": Score(value)}, 1.0, {})
        for extra, value in (({}, 0.2), ({"numbers": protocols.NUMBERS}, 0.9))
    )
    table = protocols.tables(facts, [old, new])[0]
    assert table.columns == ("pretraining", "layer 1")
    assert [cell.value for cell in table.rows[0][1:]] == [0.9]


def test_coresets(benchmark_json, mnist_raw):
    found = benchmark_json("coreset", "--root", mnist_raw)
    rows = {row["choice"]: row for row in found["tables"][0]["rows"]}
    assert set(rows) == set(coreset.CHOICES.values())
    assert all(0 <= row["10%, accuracy"]["value"] <= 1 for row in rows.values())


@pytest.mark.slow
def test_shifted_digits(benchmark_json, mnist_raw, tmp_path):
    found = benchmark_json("drlim", "--root", mnist_raw)
    rows = found["tables"][0]["rows"]
    assert [row["clusters, published"] for row in rows] == ["10", "2"]
    figures = list((tmp_path / "out").rglob("plane.png"))
    assert len(figures) == 2
    assert figures[0].read_bytes().startswith(b"\x89PNG")


def test_shifts_move_digits_and_cut_nothing_off():
    pixels = np.random.default_rng(0).integers(1, 256, (3, 28, 28)).astype(np.uint8)
    shifted = shifted_digits.shift_digits(pixels, np.zeros(3, np.int64))
    assert shifted.images.shape == (3, 5, 40, 40)
    for place, shift in enumerate(shifted_digits.SHIFTS):
        window = shifted.images[:, place, 6:34, 6 + shift : 34 + shift]
        torch.testing.assert_close(window, torch.from_numpy(pixels) / 255)


def test_a_slanted_bar_is_set_upright():
    image = np.zeros((1, 40, 40), np.float32)
    for row in range(8, 32):
        image[0, row, 8 + row // 2 : 11 + row // 2] = 1
    upright = shifted_digits.deslanted(np.concatenate([image, np.zeros_like(image)]))
    columns = np.flatnonzero(upright[0].sum(axis=0) > 0.5)
    assert np.ptp(columns) <= 4
    assert upright[0].sum() == pytest.approx(image.sum(), rel=0.02)
    assert not upright[1].any()


@pytest.mark.parametrize("any_shift", [False, True])
def test_pairs_are_neighbours_and_dissimilar_ones_are_not(any_shift):
    pixels = np.random.default_rng(1).integers(0, 256, (30, 28, 28)).astype(np.uint8)
    pairs = shifted_digits.Pairs(shifted_digits.shift_digits(pixels, np.zeros(30, np.int64)), any_shift)
    first, second = pairs.draw(400, np.random.default_rng(2))
    near = (pairs.similar[first[0]] == second[0][:, None]).any(axis=1)
    assert (near | (first[0] == second[0])).all()
    assert near.all() != any_shift
    assert (first[1] == second[1]).all() != any_shift
    unlike, moved = pairs.dissimilar(first, second)
    assert not (unlike & moved).any()
    assert not unlike.diagonal().any()
    assert bool(moved.any()) != any_shift
    if not any_shift:
        assert torch.equal(moved, torch.from_numpy(first[1])[:, None] != torch.from_numpy(second[1]))


def test_a_perfect_plane_is_pure_and_counted():
    rng = np.random.default_rng(0)
    data = shifted_digits.Shifted(torch.zeros(800, 5, 1, 1), np.repeat([0, 1], 400))
    _, shift, digit = data.flat()
    near = rng.normal(0, 0.01, (4000, 2)).astype(np.float32)
    values = {m.metric: m.value for m in drlim.judge(near + 10 * digit[:, None].astype(np.float32), data)}
    assert values["purity:digit"] == 1
    assert values["purity:digit+shift"] == pytest.approx(0.2, abs=0.08)
    assert values["clusters"] == 2
    apart = np.stack([10 * shift, 50 * digit], axis=1).astype(np.float32)
    values = {m.metric: m.value for m in drlim.judge(near + apart, data)}
    assert (values["purity:digit+shift"], values["clusters"]) == (1, 10)


SAMPLES = {
    "throughput": {
        "speed": [
            {"size": 32, "method": "simclr", "ours": 5.0, "limit": 6.0, "peer": 4.0}
            | {"of_limit": 0.83, "over_peer": 1.25}
        ],
        "overhead": [{"size": 32, "method": "byol", "seconds": 0.3, "over_simclr": 1.3}],
        "memory_over_limit": {"32": 1.01},
    },
    "dashboard": {
        "runs": 1000,
        "rows": [
            {"what": "filter", "median_s": 0.2, "p95_s": 0.3, "target_s": 1.0},
            {"what": "search, a bare page", "median_s": 0.04, "p95_s": 0.05, "target_s": None},
        ],
        "peer": [{"what": "search", "ours_s": 0.2, "peer_s": 0.4, "times": 2.0}],
    },
    "store": [
        {"work": "write: MLflow", "value": 5.0, "unit": "runs/s", "this store is": 12.0},
        {"work": "read", "value": 2.0, "unit": "ms"},
    ],
    "explain": {
        "backbone": "resnet18",
        "resolution": 64,
        "batch": 64,
        "ours_per_second": 300.0,
        "batched_per_second": 97.0,
        "one_by_one_per_second": 26.0,
        "forward_only_per_second": 350.0,
        "times_batched": 3.1,
        "times_one_by_one": 11.0,
        "share_of_forward_only": 0.84,
        "largest_difference": 1e-6,
    },
}


@pytest.mark.parametrize("name", SAMPLES)
def test_what_the_scripts_print_becomes_a_table(benchmark_command, monkeypatch, tmp_path, name):
    (tmp_path / f"{name}.py").write_text(f"print('''{json.dumps(SAMPLES[name])}''')\n")
    monkeypatch.setattr(speed, "SCRIPTS", tmp_path)
    code, out, err = benchmark_command(name, "--quick", "--device", "cpu", "--json")
    assert code == 0, err
    rows = json.loads(out)[0]["tables"][0]["rows"]
    numbers = [cell["value"] for row in rows for cell in row.values() if isinstance(cell, dict)]
    assert len(rows) == {"throughput": 3, "dashboard": 3, "store": 2, "explain": 1}[name]
    assert len(numbers) == {"throughput": 7, "dashboard": 9, "store": 3, "explain": 8}[name]


def test_mlflow_is_measured_where_it_lies_and_its_place_is_not_kept(benchmark_command, monkeypatch, tmp_path):
    (tmp_path / "store.py").write_text(
        "import json, sys\n"
        f"asked = ['--runs', '20', '--stored', '100', '--mlflow', {str(tmp_path / 'python')!r}, '--json']\n"
        "assert sys.argv[1:] == asked, sys.argv\n"
        f"print({json.dumps(SAMPLES['store'])!r})\n"
    )
    monkeypatch.setattr(speed, "SCRIPTS", tmp_path)
    mlflow = ("--mlflow", tmp_path / "python")
    code, _, err = benchmark_command("store", "--quick", "--device", "cpu", *mlflow)
    assert code == 0, err
    assert "--runs 20 --stored 100 --mlflow · seed 0" in err and str(tmp_path / "python") not in err
    code, _, err = benchmark_command("explain", "--quick", "--device", "cpu", *mlflow)
    assert code == 1 and "--mlflow" not in err


@pytest.mark.parametrize(
    ("python", "words"), [("/none/python", "No such file"), (sys.executable, "No module named 'mlflow'")]
)
def test_an_interpreter_without_mlflow_is_one_line(capsys, monkeypatch, python, words):
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    assert run_command(store_script.main, ["--mlflow", python]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: --mlflow {python}: ") and words in err and err.count("\n") == 1


def test_what_was_measured_on_a_cpu_does_not_answer_for_a_gpu():
    def cells(device):
        asked = []
        bench = SimpleNamespace(
            benchmark=SimpleNamespace(name="throughput"),
            options=Options(),
            quick=True,
            device=device,
            cell=lambda config, facts, measure: asked.append(facts["arguments"]),
        )
        speed.run(bench)
        return asked

    assert cells("cpu") == ["--quick"]
    assert cells("cuda") == ["--quick --device cuda"]


def test_a_script_that_fails_is_not_measured(benchmark_command, monkeypatch, tmp_path):
    (tmp_path / "store.py").write_text("import sys; sys.exit('error: no MLflow')\n")
    monkeypatch.setattr(speed, "SCRIPTS", tmp_path)
    code, _, err = benchmark_command("store", "--quick", "--device", "cpu")
    assert code == 1
    assert "not measured: store: speed_store" in err
    assert "no MLflow" in err
    with pytest.raises(TrainingError, match=r"benchmarks/store.py: no MLflow"):
        speed.run_script(tmp_path / "store.py", ())


def test_every_benchmark_has_a_module_with_both_functions():
    facts = StudyFacts("x", "x", "x", (), True, {"split": 1})
    for benchmark in BENCHMARKS.values():
        module = benchmark.load()
        assert callable(module.run)
        assert module.tables(facts, [])
    assert sys.modules["backend.benchmark.speed"] is speed

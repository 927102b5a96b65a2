import json
from dataclasses import replace

import pytest

from backend.training.calibration import FoldCost
from backend.training.costs import STOPPING_SHARE, Costs, Work, load_costs, save_costs
from backend.training.executor import InProcessExecutor
from backend.training.plan import Plan
from backend.training.settings import BaselineStage, PretrainingStage
from backend.training.stages.expected import Outlook, expected_baseline, expected_pretraining


@pytest.fixture
def run(small_run):
    config = small_run(epochs=10)
    return replace(config, optim=replace(config.optim, patience=0))


@pytest.fixture
def costs(run):
    found = Costs("here", workers=2)
    found.shapes[found.shape(run)] = FoldCost(fixed=2.0, epoch=0.5, step=0.1, steps=5)
    return found


def test_a_fold_is_its_steps_its_epochs_and_the_rest(costs, run):
    assert costs.fold_seconds(run) == pytest.approx(2 + 10 * 0.5 + 50 * 0.1)
    stretched = replace(run, optim=replace(run.optim, min_steps=200))
    assert costs.fold_seconds(stretched) == pytest.approx(2 + 10 * 0.5 + 200 * 0.1)
    early = replace(run, optim=replace(run.optim, patience=3))
    assert costs.fold_seconds(early) == pytest.approx(2 + STOPPING_SHARE * 10)
    unknown = replace(run, model=replace(run.model, backbone="resnet18"))
    assert costs.fold_seconds(unknown) == 0


def test_folds_run_side_by_side_but_generations_one_after_the_other(costs, run):
    fold = costs.fold_seconds(run)
    assert costs.seconds(Work("finals", run, runs=1, folds=5)) == pytest.approx(3 * fold)
    assert costs.seconds(Work("trials", run, runs=5, folds=1, batch=3)) == pytest.approx(3 * fold)
    assert costs.seconds(Work("none", run, runs=0, folds=5)) == 0
    both = [Work(name, run, runs=1, folds=5) for name in ("only rgb", "only nir")]
    assert costs.seconds(*both) == pytest.approx(5 * fold), "no worker waits between them"
    costs.finish = 4.0
    assert costs.seconds(Work("finals", run, runs=2, folds=1)) == pytest.approx(fold + 8)


def test_what_folds_took_corrects_what_was_measured(costs, run):
    measured = costs.fold_seconds(run)
    for _ in range(50):
        costs.observe(run, 3 * measured)
    assert costs.fold_seconds(run) == pytest.approx(3 * measured, rel=0.05)


def test_the_latest_folds_count_most_for_machines_get_busy_and_idle_again(costs, run):
    measured = costs.fold_seconds(run)
    costs.observe(run, 3 * measured)
    assert measured < costs.fold_seconds(run) < 2.5 * measured
    for _ in range(200):
        costs.observe(run, 3 * measured)
    for _ in range(20):
        costs.observe(run, measured)
    assert costs.fold_seconds(run) == pytest.approx(measured, rel=0.3)


def test_a_shape_is_what_decides_the_time(costs, run):
    same = replace(run, seed=7, kind="finetune", optim=replace(run.optim, learning_rate=1.0, epochs=3))
    assert costs.shape(same) == costs.shape(run)
    for other in (
        replace(run, optim=replace(run.optim, batch_size=64)),
        replace(run, data=replace(run.data, resolution=32)),
        replace(run, model=replace(run.model, modalities=("rgb",))),
        replace(run, threads=2),
    ):
        assert costs.shape(other) != costs.shape(run)


def test_costs_are_kept_beside_those_of_other_places(costs, run, tmp_path, multilabel_context):
    path = tmp_path / "calibration.json"
    save_costs(path, costs)
    here = load_costs(path, multilabel_context, 3)
    assert here.shapes == {}
    here.shapes["a"] = FoldCost(1.0)
    here.observe(run, 1.0)
    here.stages["explanations"] = 7.0
    save_costs(path, here)
    assert load_costs(path, multilabel_context, 3) == here
    assert load_costs(path, multilabel_context, 4).shapes == {}
    assert set(json.loads(path.read_text())) == {"here", here.place}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"a": 3}', "\x00"])
def test_a_damaged_file_costs_a_measurement_only(tmp_path, multilabel_context, content):
    path = tmp_path / "calibration.json"
    path.write_text(content)
    costs = load_costs(path, multilabel_context, 1)
    assert costs.shapes == {}
    save_costs(path, costs)
    assert load_costs(path, multilabel_context, 1) == costs


def test_every_kind_of_fold_can_be_measured(multilabel_context, monkeypatch):
    monkeypatch.setattr("backend.training.calibration.MEASURE_SECONDS", 0.01)
    plan = Plan(
        folds=2,
        resolution=16,
        baseline=BaselineStage(trials=1, tune_epochs=1, epochs=2, min_steps=0),
        pretraining=PretrainingStage(methods=("simclr",), epochs=1, batch_size=8, fractions=(1.0,)),
    )
    outlook = Outlook(plan, multilabel_context.dataset, ("rgb", "nir"), 2, 0)
    works = expected_baseline(outlook) + expected_pretraining(outlook)
    costs = Costs("here", workers=1)
    costs.calibrate(InProcessExecutor(multilabel_context), works, multilabel_context)
    assert {work.config.kind for work in works} == {"baseline", "pretrain", "probe", "finetune"}
    assert all(costs.seconds(work) > 0 for work in works)
    assert costs.finish > 0
    known = dict(costs.shapes)
    costs.calibrate(InProcessExecutor(None), works, multilabel_context)  # nothing is measured twice
    assert costs.shapes == known

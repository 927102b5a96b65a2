"""Tuning of pretraining methods: what is asked, and that nothing but inner validation is looked at."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import optuna
import pytest

from backend.config import AugmentConfig, RunConfig
from backend.errors import ConfigError
from backend.methods.registry import (
    check_method,
    default_augment,
    default_method_config,
    default_optim,
    list_methods,
    method_info,
)
from backend.training.plan import Plan
from backend.training.settings import BaselineStage, PretrainingSetStage, PretrainingStage
from backend.training.stages import baseline, method_search
from backend.training.stages.method_search import (
    default_method_parameters,
    planned_augment,
    planned_method,
    suggest_method_parameters,
    with_parameters,
)
from backend.training.study import StudyOptions, run_study

pytestmark = [pytest.mark.usefixtures("tiny_backbone"), pytest.mark.slow]

PRETRAINS = [info.name for info in list_methods() if info.pretrains]
TINY = BaselineStage(trials=1, generation=1, tune_epochs=1, epochs=2, min_steps=0, backbones=("tiny",))


def pretraining(name):
    return RunConfig(
        kind="pretrain",
        method=default_method_config(name),
        augment=default_augment(name),
        optim=default_optim(name, epochs=3, batch_size=64),
    )


@pytest.mark.parametrize("name", PRETRAINS)
def test_the_first_trial_is_the_registry_s_own(name):
    config = pretraining(name)
    found = with_parameters(
        config, PretrainingStage(batch_size=64), default_method_parameters(method_info(name))
    )
    assert found.optim.learning_rate == pytest.approx(config.optim.learning_rate)
    assert replace(found, optim=config.optim) == config


@pytest.mark.parametrize("name", PRETRAINS)
def test_whatever_is_suggested_can_be_run(name):
    info, study = method_info(name), optuna.create_study()
    for _ in range(5):
        parameters = suggest_method_parameters(study.ask(), info, views=4)
        assert set(parameters) == set(default_method_parameters(info))
        config = with_parameters(pretraining(name), PretrainingStage(batch_size=64), parameters)
        check_method(config.method, modalities=2, labels=True)


def test_one_view_leaves_no_choice_of_positives():
    parameters = suggest_method_parameters(optuna.create_study().ask(), method_info("simclr"), views=1)
    assert parameters["positives"] == "augment"


@pytest.mark.parametrize(("groups", "block"), [(("p", "p", "q"), 24), (("p", "q", "r"), 1)])
def test_pallets_stand_together_where_there_are_any_and_stay_so_in_the_search(groups, block):
    stage = stage_of(pretraining=PretrainingStage(methods=("simclr",), group_block=24))
    stage.driver.context.dataset.groups = groups
    method = planned_method(stage, "simclr")
    assert method == replace(default_method_config("simclr"), group_block=block)
    config = replace(pretraining("simclr"), method=method)
    parameters = {**default_method_parameters(method_info("simclr")), "positives": "views"}
    found = with_parameters(config, stage.plan.pretraining, parameters).method
    assert (found.positives, found.group_block) == ("views", block)


@pytest.mark.parametrize(
    ("chosen", "method", "strength", "expected"),
    [
        ({}, "simclr", 1.5, default_augment("simclr", strength=1.5)),
        ({"without": ("colour_jitter",)}, "byol", 1.0, AugmentConfig("fruit", without=("colour_jitter",))),
        ({"policy": "simclr"}, "moco", 1.5, AugmentConfig("simclr", strength=1.5)),
        ({"strength": 1.5}, "simclr", 1.5, default_augment("simclr", strength=2.0)),
        (
            {"operations": ("rotation", "gaussian_blur")},
            "rotation",
            1.0,
            AugmentConfig("custom", operations=("rotation", "gaussian_blur"), without=("rotation",)),
        ),
    ],
    ids=["own", "own without", "another", "no stronger than twice", "what the task rules out is left out"],
)
def test_a_plan_chooses_the_augmentation(chosen, method, strength, expected):
    plan = PretrainingStage(**chosen)
    assert planned_augment(plan, method, strength) == expected
    found = with_parameters(
        RunConfig(kind="pretrain", method=default_method_config(method)),
        plan,
        {"augment_strength": strength, "positives": "augment", "learning_rate": 1.0},
    )
    assert found.augment == expected


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"operations": ("sharpen",)}, r"pretraining\.operations.*'sharpen'"),
        ({"policy": "strong"}, r"pretraining\.policy: unknown policy 'strong'"),
        ({"without": ("grey",)}, "operation of policy fruit 'grey'"),
    ],
)
def test_a_name_that_no_augmentation_has_is_refused(chosen, words):
    with pytest.raises(ConfigError, match=words):
        planned_augment(PretrainingStage(**chosen), "simclr")


class AskedError(Exception):
    """Carries what a stage asked of the search."""


@pytest.fixture
def asked_of(monkeypatch):
    """Returns the arguments with which a stage calls the search, which then does not run."""

    def of(module, call):
        def capture(*_, **arguments):
            raise AskedError(arguments)

        monkeypatch.setattr(module, "tune", capture)
        monkeypatch.setattr(module, "open_storage", lambda url: None)
        with pytest.raises(AskedError) as caught:
            call()
        return caught.value.args[0]

    return of


def stage_of(**fields):
    dataset = SimpleNamespace(modalities={"rgb": ("1", "2")})
    driver = SimpleNamespace(study_id="s", outer_folds=(0, 1), context=SimpleNamespace(dataset=dataset))
    return SimpleNamespace(
        plan=Plan(name="p", **fields),
        driver=driver,
        modalities=("rgb",),
        seed=0,
        storage_url="",
        budget=SimpleNamespace(trials=4, search_is_over=None),
    )


@pytest.mark.parametrize(("tune_epochs", "confirms"), [(8, True), (36, False)])
def test_a_baseline_is_confirmed_by_runs_as_long_as_the_finals(asked_of, tune_epochs, confirms):
    settings = BaselineStage(trials=4, generation=2, tune_epochs=tune_epochs, epochs=36, min_steps=700)
    stage = stage_of(baseline=settings)
    asked = asked_of(baseline, lambda: baseline.run_baseline(stage))
    assert asked["configure"](asked["first"]).optim.epochs == tune_epochs
    assert (asked["at_length"] is not None) is confirms
    if confirms:
        optim = asked["at_length"](asked["first"]).optim
        assert (optim.epochs, optim.min_steps) == (36, 700)


@pytest.mark.parametrize(("tune_epochs", "confirms"), [(2, True), (60, False)])
def test_a_method_is_confirmed_by_pretrainings_of_full_length_on_one_device(asked_of, tune_epochs, confirms):
    settings = PretrainingStage(methods=("simclr",), trials=4, epochs=60, tune_epochs=tune_epochs, devices=2)
    base = replace(pretraining("simclr"), devices=2)
    base = replace(base, optim=replace(base.optim, epochs=60))
    asked = asked_of(
        method_search,
        lambda: method_search.search_method(stage_of(pretraining=settings), "simclr", base),
    )
    trial = asked["configure"]({**asked["first"], "augment_strength": 1.5})
    assert (trial.optim.epochs, trial.devices, trial.purpose) == (tune_epochs, 1, "tune")
    assert (asked["at_length"] is not None) is confirms
    if confirms:
        long = asked["at_length"]({**asked["first"], "augment_strength": 1.5})
        assert (long.optim.epochs, long.devices, long.augment) == (60, 1, trial.augment)


def test_a_search_ends_where_what_it_searches_for_has_no_time_left(asked_of):
    settings = PretrainingStage(methods=("simclr",), trials=4, epochs=60, tune_epochs=2)
    base = replace(pretraining("simclr"), optim=replace(pretraining("simclr").optim, epochs=60))
    stage, asked_about = stage_of(pretraining=settings), []

    def ends_in_time(config):
        asked_about.append(config.optim.epochs)
        return len(asked_about) == 1

    stage.budget.ends_in_time = ends_in_time
    asked = asked_of(method_search, lambda: method_search.search_method(stage, "simclr", base))
    assert [asked["stop"](done) for done in (2, 4)] == [False, True]
    assert asked_about == [60, 60], "not the short trials"


@pytest.fixture(scope="module")
def store(multilabel_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("method-search")
    plan = Plan(
        name="tiny-search",
        folds=2,
        resolution=16,
        baseline=TINY,
        pretraining=PretrainingStage(
            methods=("simclr",),
            epochs=2,
            batch_size=16,
            fractions=(1.0,),
            seeds=(0, 1),
            pretrainings=1,
            min_steps=8,
            trials=3,
            generation=2,
            tune_epochs=2,
        ),
        pretraining_sets=PretrainingSetStage(
            method="simclr",
            selections=("k_centre", "healthy"),
            shares=(0.5,),
            epochs=1,
            fractions=(1.0,),
            seeds=(0,),
        ),
    )
    options = StudyOptions(
        multilabel_folder, out / "store.db", out / "cache", workers=0, quiet=True, device="cpu"
    )
    assert run_study(plan, options)["failed"] == []
    with closing(sqlite3.connect(out / "store.db")) as connection:
        yield connection


def test_every_trial_is_a_run_with_a_score_after_each_epoch(store):
    rows = store.execute(
        "SELECT run_id, status, (SELECT COUNT(*) FROM curve c WHERE c.run_id = r.run_id "
        "AND split = 'validation' AND metric = 'mcc'), (SELECT COUNT(*) FROM artifact a "
        "WHERE a.run_id = r.run_id) FROM run r WHERE kind = 'pretrain' AND purpose = 'tune'"
    ).fetchall()
    assert len(rows) == 3
    for _, status, scores, artifacts in rows:
        assert status in ("complete", "pruned")
        assert 1 <= scores <= 2
        assert artifacts == 0


def test_seeds_share_the_pretrainings_of_the_plan(store):
    rows = store.execute(
        "SELECT COUNT(DISTINCT parent_run_id), COUNT(*) FROM run "
        "WHERE kind = 'finetune' AND purpose = 'final'"
    ).fetchone()
    assert rows == (1, 2)


def test_every_set_is_pretrained_probed_and_compared(store):
    rows = store.execute(
        "SELECT json_extract(params, '$.data.selection'), json_extract(params, '$.data.selection_share'), "
        "json_extract(params, '$.optim.epochs') FROM run WHERE purpose = 'pretraining-sets' "
        "AND kind = 'pretrain' ORDER BY 1, 2"
    ).fetchall()
    assert rows == [("all", 0.5, 2), ("all", 1.0, 1), ("healthy", 1.0, 1), ("k_centre", 0.5, 2)]
    probes = store.execute(
        "SELECT COUNT(*) FROM run WHERE purpose = 'pretraining-sets' AND kind = 'probe'"
    ).fetchone()
    assert probes == (4,)
    families = store.execute(
        "SELECT COUNT(DISTINCT run_id_a || run_id_b) FROM comparison WHERE family LIKE 'pretraining-sets%'"
    ).fetchone()
    assert families == (3,)


def test_another_study_uses_the_pretrained_weights_that_are_there(multilabel_folder, tmp_path):
    def plan(name, fraction):
        stage = PretrainingStage(
            methods=("simclr",), epochs=1, batch_size=16, fractions=(fraction,), min_steps=4
        )
        return Plan(name=name, folds=2, resolution=16, baseline=TINY, pretraining=stage)

    options = StudyOptions(
        multilabel_folder, tmp_path / "store.db", tmp_path / "cache", workers=0, quiet=True, device="cpu"
    )
    for number, fraction in enumerate((1.0, 0.5)):
        assert run_study(plan(f"study-{number}", fraction), options)["failed"] == []
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        rows = connection.execute(
            "SELECT c.study_id, p.study_id FROM run c JOIN run p ON p.run_id = c.parent_run_id "
            "WHERE c.kind = 'finetune' ORDER BY c.started"
        ).fetchall()
        pretrainings = connection.execute("SELECT COUNT(*) FROM run WHERE kind = 'pretrain'").fetchone()
    assert [child.startswith(f"study-{number}") for number, (child, _) in enumerate(rows)] == [True, True]
    assert all(parent.startswith("study-0") for _, parent in rows)
    assert pretrainings == (1,)

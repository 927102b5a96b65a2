"""Augmentations alone, in pairs, left out and confirmed."""

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.config import AugmentConfig, RunConfig
from backend.errors import ConfigError
from backend.methods.registry import default_augment
from backend.store.rows import COMPLETE, FAILED
from backend.training.driver import RunResult
from backend.training.plan import Plan, load_plan
from backend.training.settings import AugmentationStage, BaselineStage, PretrainingStage
from backend.training.stages import augmentation_ablation
from backend.training.stages.augmentation_ablation import candidates, extremes
from backend.training.study import StudyOptions, run_study

pytestmark = [pytest.mark.usefixtures("tiny_backbone"), pytest.mark.slow]

OPERATIONS = ("horizontal_flip", "colour_jitter", "gaussian_blur")
SENSORS = ("rgb", "nir", "pressure")


def query(store: Path, sql: str, *values: object) -> list[tuple]:
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(sql, values).fetchall()


def tiny(method: str) -> Plan:
    return Plan(
        name="tiny-augmentations",
        folds=2,
        resolution=16,
        baseline=BaselineStage(
            trials=1, generation=1, tune_epochs=1, epochs=2, min_steps=4, backbones=("tiny",)
        ),
        pretraining=PretrainingStage(batch_size=16),
        augmentations=AugmentationStage(
            method=method,
            operations=OPERATIONS[:2],
            leave_one_out=method == "supervised",
            strengths=(0.5,),
            epochs=1,
            confirm=1,
            seeds=(0, 1) if method == "supervised" else (0,),
        ),
    )


def study(method: str, folder: Path, out: Path) -> Path:
    options = StudyOptions(folder, out / "store.db", out / "cache", workers=0, quiet=True, device="cpu")
    assert run_study(tiny(method), options)["failed"] == []
    return out / "store.db"


@pytest.fixture(scope="module")
def pretrained(multilabel_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study("barlow_twins", multilabel_folder, tmp_path_factory.mktemp("augmentations"))


@pytest.fixture(scope="module")
def supervised(multilabel_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study("supervised", multilabel_folder, tmp_path_factory.mktemp("augmentations"))


# Which candidates


def test_candidates_are_the_composition_matrix_and_the_policy_taken_apart():
    settings = AugmentationStage(method="simclr", operations=OPERATIONS)
    default = default_augment("simclr")
    found = candidates(settings, settings.method, default, SENSORS)
    assert next(iter(found.values())) == AugmentConfig(policy="none")
    assert default in found.values()
    sizes = Counter(len(policy.operations) for policy in found.values() if policy.policy == "custom")
    assert sizes == {1: 3, 2: 3}
    assert len(set(found.values())) == len(found)
    without = [policy.without for policy in found.values() if policy.without]
    assert len(without) == 7  # every operation of the policy "fruit"
    assert {policy.strength for policy in found.values()} == {0.5, 1.0, 1.5}


def test_operations_are_those_of_the_default_policy_where_none_are_named():
    settings = AugmentationStage(method="simclr", pairs=False, leave_one_out=False, strengths=())
    found = candidates(settings, "simclr", default_augment("simclr"), SENSORS)
    assert set(found) == {
        *("none", "own policy", "random_resized_crop", "horizontal_flip", "vertical_flip", "rotation"),
        *("colour_jitter", "nir_gain_offset", "gaussian_blur"),
    }


@pytest.mark.parametrize(
    ("sensors", "missing"), [(("rgb",), "nir_gain_offset"), (("nir", "pressure"), "colour_jitter")]
)
def test_operations_that_change_no_sensor_are_not_tried(sensors, missing):
    settings = AugmentationStage(method="simclr", pairs=False, strengths=())
    found = candidates(settings, "simclr", default_augment("simclr"), sensors)
    assert not [name for name in found if missing in name]


def test_operations_that_a_method_rules_out_are_not_tried():
    settings = AugmentationStage(method="rotation", operations=("rotation", "gaussian_blur"))
    found = candidates(settings, "rotation", default_augment("rotation"), SENSORS)
    assert "gaussian_blur" in found
    assert "rotation" not in found


def test_whole_policies_can_be_tried_without_taking_any_apart():
    plan = load_plan("scenarios").augmentations
    found = candidates(plan, "triplet", default_augment("triplet"), ("rgb",))
    assert list(found) == ["none", "own policy", "policy pad_rotate_scale", "policy simclr"]
    settings = replace(plan, policies=("whole_fruit",))
    found = candidates(settings, "rotation", default_augment("rotation"), SENSORS)
    assert set(found["policy whole_fruit"].without) == {"rotation", "vertical_flip"}


def test_strength_stays_within_its_range():
    settings = AugmentationStage(method="supervised", strengths=(0.5, 1.0, 2.0), leave_one_out=False)
    default = AugmentConfig(policy="whole_fruit", strength=1.4)
    found = candidates(settings, settings.method, default, SENSORS)
    swept = {name: policy.strength for name, policy in found.items() if name.startswith("strength")}
    assert swept == {"strength 0.5": pytest.approx(0.7), "strength 2": 2.0}


def test_nothing_to_try_is_said_in_one_line():
    settings = AugmentationStage(method="simclr", operations=("nir_gain_offset",))
    with pytest.raises(ConfigError, match=r"no operation to try.*change rgb"):
        candidates(settings, "simclr", default_augment("simclr"), ("rgb",))
    with pytest.raises(ConfigError, match="unknown augmentation 'sharpen'"):
        candidates(replace(settings, operations=("sharpen",)), "simclr", default_augment("simclr"), ("rgb",))


def test_the_best_and_the_worst_are_confirmed():
    ranked = dict(zip("abcde", (0.1, 0.5, 0.3, 0.4, 0.2), strict=True)) | {"undefined": float("nan")}
    assert extremes(ranked, 1) == ["b", "a"]
    assert extremes(ranked, 2) == ["b", "d", "e", "a"]
    assert extremes(ranked, 9) == ["b", "d", "c", "e", "a"]
    assert extremes(ranked, 0) == []


@pytest.mark.parametrize(
    ("probed", "expected"),
    [
        ({"a": 0.3, "b": 0.1}, {"a": 0.3, "b": 0.1}),
        ({"a": 0.3}, {"a": 0.02, "b": 0.05}),
    ],
    ids=["every one has a probe", "an older version probed one of them"],
)
def test_pretrainings_are_ranked_by_one_and_the_same_measure(probed, expected, monkeypatch):
    monkeypatch.setattr(augmentation_ablation, "ParentWeights", lambda driver: None)
    monkeypatch.setattr(augmentation_ablation._Ablation, "_probe", lambda self, run: run)
    driver = SimpleNamespace(
        outer_folds=(0, 1),
        run=lambda runs, folds, weights: runs,
        store=SimpleNamespace(fold_metrics=lambda run_id, metric: {0: probed.get(run_id)}),
    )
    plan = SimpleNamespace(augmentations=AugmentationStage(method="simclr"))
    ablation = augmentation_ablation._Ablation(SimpleNamespace(driver=driver, plan=plan), "simclr")
    ranked = {
        "a": RunResult("a", RunConfig(), COMPLETE, 0.02),
        "b": RunResult("b", RunConfig(), COMPLETE, 0.05),
        "failed": RunResult("c", RunConfig(), FAILED, 0.9),
    }
    assert ablation.scores(ranked) == expected


# What is run and stored


def test_every_candidate_is_ranked_on_few_folds(pretrained):
    expected = candidates(
        tiny("barlow_twins").augmentations, "barlow_twins", default_augment("barlow_twins"), SENSORS
    )
    measures = ("pretrain", "inner_mcc"), ("probe", "probe_inner_mcc"), ("probe", "mcc"), ("probe", "knn_mcc")
    for kind, metric in measures:
        rows = query(
            pretrained,
            "SELECT DISTINCT run_id FROM run JOIN metric USING (run_id) WHERE kind = ? AND metric = ? "
            "AND n_folds = 1 AND purpose = 'augmentation-ablation'",
            kind,
            metric,
        )
        assert len(rows) == len(expected), (kind, metric)


def test_rows_say_which_augmentation_was_in_force(pretrained):
    rows = query(
        pretrained,
        "SELECT json_extract(params, '$.augment.policy'), json_array_length(params, '$.augment.operations'), "
        "json_array_length(params, '$.augment.without'), json_extract(params, '$.augment.strength') "
        "FROM run WHERE kind = 'pretrain' AND n_folds = 1",
    )
    assert Counter(rows) == {
        ("none", 0, 0, 1.0): 1,
        ("fruit", 0, 0, 1.0): 1,
        ("custom", 1, 0, 1.0): 2,
        ("custom", 2, 0, 1.0): 1,
        ("fruit", 0, 0, 0.5): 1,
    }


def test_the_extremes_are_confirmed_on_every_fold_with_fresh_seeds(pretrained):
    rows = query(
        pretrained,
        "SELECT kind, seed, COUNT(*) FROM run WHERE purpose = 'augmentation-ablation' AND n_folds = 2 "
        "GROUP BY 1, 2 ORDER BY 1, 2",
    )
    assert rows == [("finetune", 0, 3), ("pretrain", 0, 3)]
    ranking = query(pretrained, "SELECT DISTINCT seed FROM run WHERE n_folds = 1 AND kind = 'pretrain'")
    assert ranking == [(1,)]


def test_the_confirmed_ones_are_the_extremes_of_the_probe(pretrained):
    policy = "json_extract(params, '$.augment')"
    ranked = query(
        pretrained,
        f"SELECT {policy}, AVG(value) FROM run JOIN metric USING (run_id) WHERE metric = 'probe_inner_mcc' "
        "AND kind = 'probe' AND json_extract(params, '$.augment.policy') <> 'none' GROUP BY 1 ORDER BY 2",
    )
    confirmed = query(
        pretrained,
        f"SELECT DISTINCT {policy} FROM run WHERE kind = 'pretrain' AND n_folds = 2 "
        "AND json_extract(params, '$.augment.policy') <> 'none'",
    )
    scores = dict(ranked)
    assert sorted(scores[text] for (text,) in confirmed) == [ranked[0][1], ranked[-1][1]]


def test_confirmed_policies_are_compared_with_none(pretrained, supervised):
    source = (
        "COALESCE(json_extract(p.params, '$.augment.policy'), json_extract(r.params, '$.augment.policy'))"
    )
    for store, kind in ((pretrained, "finetune"), (supervised, "baseline")):
        for side, expected in (("a", True), ("b", False)):
            rows = query(
                store,
                f"SELECT DISTINCT c.run_id_b, {source}, r.kind, r.purpose FROM comparison c "
                f"JOIN run r ON r.run_id = c.run_id_{side} LEFT JOIN run p ON p.run_id = r.parent_run_id "
                "WHERE c.family LIKE 'augmentation-ablation%' AND c.metric = 'mcc' AND c.defect IS NULL "
                "AND c.test = 'bootstrap' AND c.verdict <> ''",
            )
            assert len(rows) == 2
            for _, policy, found, purpose in rows:
                assert (policy == "none") == expected
                assert (found, purpose) == (kind, "augmentation-ablation")


@pytest.mark.parametrize("kind", ["contact_sheet", "operation_sheet"])
def test_pictures_of_the_default_policy_and_of_every_operation_are_kept(pretrained, kind):
    rows = query(pretrained, "SELECT path, bytes FROM artifact WHERE kind = ?", kind)
    assert len(rows) == 1
    assert (pretrained.parent / rows[0][0]).read_bytes().startswith(b"\x89PNG")


def test_the_baseline_can_be_the_method(supervised):
    rows = query(
        supervised,
        "SELECT n_folds, kind, COUNT(*) FROM run WHERE purpose = 'augmentation-ablation' GROUP BY 1, 2",
    )
    # none, the policy, two operations, their pair, one of six left out each, one strength
    assert rows == [(1, "baseline", 12), (2, "baseline", 6)]
    scores = query(
        supervised,
        "SELECT COUNT(*) FROM metric JOIN run USING (run_id) WHERE metric = 'inner_mcc' AND fold IS NULL "
        "AND purpose = 'augmentation-ablation' AND n_folds = 1 AND value IS NOT NULL",
    )
    assert scores == [(12,)]


def test_the_plan_for_it_loads():
    assert load_plan("augmentation-ablation").augmentations.method

"""Sensors left out: which runs are made, what is stored of them, and whether a planted truth is found."""

import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.config import RunConfig
from backend.data.synth.planted import make_planted
from backend.training.driver import RunResult
from backend.training.plan import Plan, load_plan
from backend.training.settings import BaselineStage, InputAblationStage, PretrainingStage
from backend.training.stages.input_ablation import best_finetunes
from backend.training.study import StudyOptions, run_study

pytestmark = pytest.mark.usefixtures("tiny_backbone")

SENSORS = ("rgb", "nir", "pressure")


def query(store: Path, sql: str, *values: object) -> list[tuple]:
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(sql, values).fetchall()


def study(plan: Plan, folder: Path, out: Path) -> Path:
    options = StudyOptions(folder, out / "store.db", out / "cache", workers=0, quiet=True, device="cpu")
    assert run_study(plan, options)["failed"] == []
    return out / "store.db"


def tiny(**stage: object) -> Plan:
    return Plan(
        name="tiny-inputs",
        folds=2,
        resolution=16,
        baseline=BaselineStage(
            trials=1, generation=1, tune_epochs=1, epochs=1, min_steps=0, backbones=("tiny",)
        ),
        pretraining=PretrainingStage(methods=("simclr",), epochs=1, batch_size=16, fractions=(1.0,)),
        input_ablation=InputAblationStage(enabled=True, repeats=2, **stage),  # type: ignore[arg-type]
    )


def result(seed: int, score: float, status: str = "complete") -> RunResult:
    return RunResult(f"run{seed}", RunConfig(seed=seed), status, score)


def test_a_method_with_one_seed_that_failed_is_represented_by_the_others():
    finetunes = {
        "simclr": [result(0, 0.5), result(1, math.nan, "failed")],
        "byol": [result(0, 0.4), result(1, 0.4)],
        "dino": [result(0, math.nan, "failed")],
    }
    stage = SimpleNamespace(finetunes=finetunes, plan=tiny(seeds=(0, 1)))
    assert best_finetunes(stage) == [finetunes["simclr"][0]]
    stage.finetunes = {"dino": finetunes["dino"]}
    assert best_finetunes(stage) == []


@pytest.fixture(scope="module")
def ablated(multilabel_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study(tiny(pretrained=True), multilabel_folder, tmp_path_factory.mktemp("inputs"))


def test_every_proper_subset_is_retrained_and_the_full_set_is_the_final_run(ablated):
    rows = query(ablated, "SELECT kind, modalities FROM run WHERE purpose = 'input-ablation'")
    sensors = query(ablated, "SELECT modalities FROM run WHERE purpose = 'final' AND kind = 'baseline'")
    order = tuple(sensors[0][0].strip("[]").replace('"', "").split(","))
    assert set(order) == set(SENSORS)
    wanted = {
        "[" + ",".join(f'"{name}"' for name in chosen) + "]"
        for size in (1, 2)
        for chosen in combinations(order, size)
    }
    for kind in ("baseline", "finetune"):
        assert sorted(modalities for found, modalities in rows if found == kind) == sorted(wanted)


def test_a_subset_differs_from_the_final_run_in_its_sensors_alone(ablated):
    values = (
        "json_extract(params, '$.optim'), json_extract(params, '$.data'), json_extract(params, '$.augment')"
    )
    for kind in ("baseline", "finetune"):
        rows = query(
            ablated,
            f"SELECT DISTINCT {values}, seed, parent_run_id FROM run WHERE kind = ? "
            "AND purpose IN ('final', 'input-ablation')",
            kind,
        )
        assert len(rows) == 1


def test_pretrained_subsets_start_from_the_one_pretraining(ablated):
    assert query(ablated, "SELECT COUNT(*) FROM run WHERE kind = 'pretrain'") == [(1,)]


def test_each_sensor_is_compared_with_the_set_that_lacks_it(ablated):
    rows = query(
        ablated,
        "SELECT b.kind, c.family, a.modalities, c.metric, COUNT(*) FROM comparison c "
        "JOIN run a ON a.run_id = c.run_id_a JOIN run b ON b.run_id = c.run_id_b "
        "WHERE c.test = 'bootstrap' AND c.family LIKE 'input-ablation%' AND b.purpose = 'final' "
        "AND c.defect IS NOT NULL GROUP BY 1, 2, 3, 4",
    )
    assert len(rows) == 2 * 3 * 2  # baseline and fine-tune, three sensors, two metrics
    for _, family, modalities, metric, n in rows:
        (sensor,) = [name for name in SENSORS if f"without {name}:" in family]
        assert sensor not in modalities
        assert metric in family
        assert n == 3
    verdicts = query(ablated, "SELECT COUNT(*) FROM comparison WHERE family LIKE 'input-%' AND verdict = ''")
    assert verdicts == [(0,)]


def test_shapley_values_add_up_to_the_mcc_of_the_full_set(ablated):
    for kind in ("baseline", "finetune"):
        rows = query(
            ablated,
            "SELECT m.defect, SUM(m.value), (SELECT value FROM metric x WHERE x.run_id = m.run_id "
            "AND x.metric = 'mcc' AND x.fold IS NULL AND x.defect IS m.defect), COUNT(m.ci_low) "
            "FROM metric m JOIN run USING (run_id) WHERE m.metric LIKE 'shapley:%' AND kind = ? "
            "AND purpose = 'final' GROUP BY m.defect",
            kind,
        )
        assert len(rows) == 4
        for _, total, mcc, n in rows:
            assert total == pytest.approx(mcc)
            assert n == 3


def test_what_is_left_without_an_input_is_kept_with_the_full_run(ablated):
    rows = query(
        ablated,
        "SELECT DISTINCT metric FROM metric JOIN run USING (run_id) WHERE metric LIKE 'mcc_%:%' "
        "AND kind = 'baseline' AND purpose = 'final'",
    )
    expected = {f"mcc_{how}:{name}" for how in ("without", "permuted") for name in SENSORS}
    assert {name for (name,) in rows} == expected | {"mcc_without_view:rgb:1", "mcc_without_view:rgb:2"}


def test_a_finished_ablation_is_not_computed_again(ablated, multilabel_folder, monkeypatch):
    def never(*args):
        raise AssertionError("computed again")

    monkeypatch.setattr("backend.training.stages.input_ablation.predictions_after", never)
    monkeypatch.setattr("backend.training.stages.input_ablation.joint_mcc", never)
    before = query(ablated, "SELECT COUNT(*) FROM run")
    assert study(tiny(pretrained=True), multilabel_folder, ablated.parent) == ablated
    assert query(ablated, "SELECT COUNT(*) FROM run") == before


def test_a_share_that_only_some_seeds_have_is_stored_with_all(multilabel_folder, tmp_path):
    """A driver that was killed between two seeds leaves the second one without."""
    plan = replace(
        tiny(seeds=(0, 1)).narrowed(modalities=("nir", "pressure")), pretraining=PretrainingStage()
    )
    store = study(plan, multilabel_folder, tmp_path)
    shares = "SELECT run_id, defect, metric, value FROM metric WHERE metric LIKE 'shapley:%' ORDER BY 1, 2, 3"
    whole = query(store, shares)
    runs = sorted({row[0] for row in whole})
    assert len(runs) == 2
    for run_id in runs:
        with closing(sqlite3.connect(store)) as connection, connection:
            connection.execute("DELETE FROM metric WHERE metric LIKE 'shapley:%' AND run_id = ?", (run_id,))
        assert study(plan, multilabel_folder, tmp_path) == store
        assert query(store, shares) == whole


def test_with_epochs_of_its_own_the_full_set_is_run_like_its_subsets(write_folder, tmp_path):
    plan = tiny(epochs=2).narrowed(modalities=("nir", "pressure"), methods=())
    store = study(plan, write_folder(tmp_path / "data"), tmp_path)
    rows = query(
        store,
        "SELECT modalities, json_extract(params, '$.optim.epochs') FROM run WHERE purpose = 'input-ablation' "
        "AND kind = 'baseline' ORDER BY 1",
    )
    assert rows == [('["nir","pressure"]', 2), ('["nir"]', 2), ('["pressure"]', 2)]


def test_one_sensor_leaves_nothing_to_ablate(multiclass_folder, tmp_path):
    store = study(tiny(), multiclass_folder, tmp_path)
    assert query(store, "SELECT COUNT(*) FROM run WHERE purpose = 'input-ablation'") == [(0,)]
    added = "metric LIKE 'shapley:%' OR metric LIKE 'mcc_%:%'"
    assert query(store, f"SELECT COUNT(*) FROM metric WHERE {added}") == [(0,)]


def verdicts(store: Path) -> dict[tuple[str, str], str]:
    """(sensor left out, defect) to the first word of what the full set is called beside the rest."""
    rows = query(
        store,
        "SELECT family, defect, verdict FROM comparison WHERE test = 'bootstrap' AND metric = 'mcc' "
        "AND defect IS NOT NULL AND family LIKE 'input-ablation%'",
    )
    return {
        (family.split("without ")[1].split(":")[0], defect): verdict.split()[0]
        for family, defect, verdict in rows
    }


def assert_truth_is_found(store: Path, truth: dict[str, str]) -> None:
    """Exactly the planted sensor matters for each defect, and its intervals stand apart from the others'."""
    found = verdicts(store)
    for (sensor, defect), verdict in found.items():
        assert (verdict == "better") == (truth[defect] == sensor), (sensor, defect, verdict)
    rows = query(
        store,
        "SELECT substr(metric, 9), defect, ci_low, ci_high FROM metric JOIN run USING (run_id) "
        "WHERE metric LIKE 'shapley:%' AND defect IS NOT NULL AND kind = 'baseline' AND purpose = 'final'",
    )
    low = {(sensor, defect): value for sensor, defect, value, _ in rows}
    high = {(sensor, defect): value for sensor, defect, _, value in rows}
    for defect, planted in truth.items():
        others = [sensor for sensor, named in low if named == defect and sensor != planted]
        assert others
        if (planted, defect) in low:
            assert all(low[planted, defect] > high[sensor, defect] for sensor in others), defect


def planted_plan(resolution: int, min_steps: int) -> Plan:
    return Plan(
        name="planted",
        folds=3,
        resolution=resolution,
        baseline=BaselineStage(
            trials=1,
            generation=1,
            tune_epochs=1,
            epochs=8,
            patience=0,
            min_steps=min_steps,
            backbones=("tiny",),
        ),
        input_ablation=InputAblationStage(enabled=True, repeats=2),
    )


@pytest.mark.slow
def test_the_sensor_that_shows_a_defect_is_found(write_folder, tmp_path):
    """Rot darkens NIR alone, a soft fruit gives way under pressure alone; a scar is in neither."""
    folder = write_folder(tmp_path / "data", fruits=96, unlabelled=0)
    plan = planted_plan(resolution=16, min_steps=96).narrowed(modalities=("nir", "pressure"))
    store = study(plan, folder, tmp_path)
    assert_truth_is_found(store, {"rot": "nir", "soft": "pressure", "scar": "rgb"})


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_planted_truth_is_found(tmp_path):
    """One defect is visible only in NIR, one only in pressure, one only in the second of four RGB views."""
    make_planted(tmp_path / "data", 144, seed=3, size=32, progress=False)
    store = study(planted_plan(resolution=32, min_steps=150), tmp_path / "data", tmp_path)
    assert_truth_is_found(store, {"a": "nir", "b": "pressure", "c": "rgb"})
    rows = query(
        store,
        "SELECT metric, ci_low, ci_high FROM metric WHERE defect = 'c' AND fold IS NULL "
        "AND metric LIKE 'mcc_without_view:rgb:%'",
    )
    blind = {name.rsplit(":", 1)[1]: (low, high) for name, low, high in rows}
    assert set(blind) == {"1", "2", "3", "4"}
    assert all(blind["2"][1] < blind[view][0] for view in "134")


def test_the_plan_for_it_loads():
    plan = load_plan("input-ablation")
    assert plan.input_ablation.enabled

"""The explanations of a tiny study: what is stored, what is not done twice, what no fault may cost."""

import csv
import io
import json
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from backend.errors import TrainingError
from backend.training import execute
from backend.training.explanation import explain_fold
from backend.training.plan import Plan
from backend.training.settings import BaselineStage, ExplanationStage, PretrainingStage
from backend.training.stages import explaining
from backend.training.study import StudyOptions, run_study

pytestmark = [pytest.mark.usefixtures("tiny_backbone"), pytest.mark.slow]

PLAN = Plan(
    name="tiny-explained",
    folds=2,
    resolution=32,
    baseline=BaselineStage(
        trials=1, generation=1, tune_epochs=1, epochs=6, min_steps=40, backbones=("tiny",)
    ),
    pretraining=PretrainingStage(
        methods=("simclr",), epochs=1, batch_size=16, fractions=(1.0,), min_steps=40
    ),
    explanations=ExplanationStage(enabled=True, per_outcome=2, curves=2),
)
METRICS = {"deletion_auc", "insertion_auc", "sanity_correlation"}
LOCALISATION = {"localisation_pointing", "localisation_energy", "localisation_iou"}


def query(store, sql, *values):
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(sql, values).fetchall()


def add_masks(folder):
    """The scars of the tiny fruit are the middle of the first RGB view."""
    mask = np.zeros((16, 16), dtype=bool)
    mask[4:12, 4:12] = True
    (folder / "masks").mkdir()
    Image.fromarray(mask).save(folder / "masks/scar.png")
    with (folder / "manifest.csv").open() as file:
        ids = [row["fruit_id"] for row in csv.DictReader(file) if row["defect:scar"] == "1"]
    rows = [[name, "scar", "1", "masks/scar.png"] for name in ids]
    with (folder / "masks.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["fruit_id", "defect", "view", "path"], *rows])


def options_for(folder, out):
    return StudyOptions(folder, out / "store.db", out / "cache", workers=0, quiet=True, device="cpu")


@pytest.fixture(scope="module")
def folder(multilabel_folder, tmp_path_factory):
    """The tiny fruit, with masks of their scars."""
    copy = tmp_path_factory.mktemp("masked") / "data"
    shutil.copytree(multilabel_folder, copy)
    add_masks(copy)
    return copy


@pytest.fixture(scope="module")
def explained(folder, tmp_path_factory):
    """The store of the tiny study, explained."""
    out = tmp_path_factory.mktemp("explained")
    assert run_study(PLAN, options_for(folder, out))["failed"] == []
    return out / "store.db"


@pytest.fixture
def copied(explained, tmp_path):
    """A copy of that store and its files, for a test to damage."""
    shutil.copytree(explained.parent, tmp_path / "copy")
    return tmp_path / "copy" / "store.db"


def test_the_best_baseline_and_the_best_fine_tune_are_explained(explained):
    rows = query(
        explained, "SELECT DISTINCT kind, purpose, status FROM attribution JOIN run USING (run_id) ORDER BY 1"
    )
    assert rows == [("baseline", "final", "complete"), ("finetune", "final", "complete")]


def test_heat_maps_belong_to_test_fruit_of_their_fold_and_say_the_outcome(explained):
    rows = query(
        explained,
        "SELECT a.fruit_id, a.modality, a.view, a.scores, p.y_true, p.y_pred, p.score FROM attribution a "
        "JOIN prediction p USING (run_id, fruit_id, defect, fold)",
    )
    assert len(rows) == query(explained, "SELECT COUNT(*) FROM attribution")[0][0] > 20
    outcomes = {(1, 1): "tp", (0, 1): "fp", (1, 0): "fn", (0, 0): "tn"}
    for _, modality, view, scores, truth, said, score in rows:
        facts = json.loads(scores)
        assert facts["outcome"] == outcomes[truth, said]
        assert facts["score"] == pytest.approx(score)
        assert 0 <= facts["share"] <= 1
        assert (modality, view) in {("rgb", "1"), ("rgb", "2"), ("nir", "1")}


def test_no_more_fruit_of_an_outcome_are_shown_than_asked_for(explained):
    counts = query(
        explained,
        "SELECT COUNT(DISTINCT fruit_id) FROM attribution WHERE scores ->> '$.change' IS NULL "
        "GROUP BY run_id, defect, scores ->> '$.outcome'",
    )
    assert 1 <= max(count for (count,) in counts) <= 2


def test_pictures_are_grey_at_the_working_resolution_with_the_raw_maps_beside(explained):
    rows = query(explained, "SELECT run_id, fruit_id, modality, view, path FROM attribution")
    for run_id, fruit, modality, view, path in rows:
        with Image.open(explained.parent / path) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (32, 32))
        raw = path.replace(f"-{modality}-{view}.png", ".npz")
        assert raw.endswith(f"{fruit}.npz")
        kept = query(explained, "SELECT kind FROM artifact WHERE run_id = ? AND path = ?", run_id, raw)
        assert kept == [("class maps",)]
        with np.load(io.BytesIO((explained.parent / raw).read_bytes()), allow_pickle=False) as maps:
            assert maps[f"{modality}-{view}"].shape == (32, 32)
            assert maps[f"{modality}-{view}"].min() >= 0


def test_each_fruit_has_a_white_point_in_its_strongest_view(explained):
    rows = query(explained, "SELECT run_id, fruit_id, defect, path, scores FROM attribution")
    whitest: dict[tuple, int] = {}
    for run_id, fruit, defect, path, scores in rows:
        with Image.open(explained.parent / path) as picture:
            level = int(np.asarray(picture).max())
        key = (run_id, fruit, defect)
        whitest[key] = max(level, whitest.get(key, 0))
        assert json.loads(scores)["share"] > 0 or level == 0
    assert set(whitest.values()) <= {0, 255}
    assert 255 in whitest.values()


def test_localisation_is_scored_where_there_are_masks_only(explained):
    rows = query(explained, "SELECT DISTINCT defect FROM metric WHERE metric = 'localisation_pointing'")
    assert set(rows) == {("scar",), (None,)}
    scored = query(
        explained, "SELECT DISTINCT defect FROM attribution WHERE scores ->> '$.pointing' IS NOT NULL"
    )
    assert scored == [("scar",)]


def test_metrics_of_each_defect_are_pooled_with_intervals_over_the_folds(explained):
    rows = query(
        explained,
        "SELECT metric, value, ci_low, ci_high FROM metric JOIN run USING (run_id) "
        "WHERE fold IS NULL AND kind = 'baseline' AND purpose = 'final' AND (metric LIKE 'localisation%' "
        "OR metric IN ('deletion_auc', 'insertion_auc', 'sanity_correlation'))",
    )
    assert {row[0] for row in rows} == METRICS | LOCALISATION
    for metric, value, low, high in rows:
        assert (-1 if metric == "sanity_correlation" else 0) <= value <= 1, metric
        assert low is None or low <= value <= high


def test_the_mean_is_that_of_every_found_fruit_with_a_mask(explained):
    files = query(
        explained,
        "SELECT path, run_id FROM artifact JOIN run USING (run_id) WHERE artifact.kind = 'explanations' "
        "AND run.kind = 'baseline'",
    )
    values, run_id = {}, files[0][1]
    for path, _ in files:
        facts = json.loads((explained.parent / path).read_text())
        values |= facts["values"].get("localisation_pointing", {}).get("scar", {})
    (found,) = query(
        explained,
        "SELECT COUNT(*) FROM prediction WHERE run_id = ? AND defect = 'scar' AND y_pred = 1 AND y_true = 1",
        run_id,
    )
    assert len(values) >= found[0] > 0
    stored = query(
        explained,
        "SELECT value FROM metric WHERE run_id = ? AND defect = 'scar' AND metric = 'localisation_pointing'",
        run_id,
    )
    assert stored[0][0] == pytest.approx(np.mean(list(values.values())))


def test_what_is_stored_is_not_explained_again(copied, folder, monkeypatch):
    done = []
    monkeypatch.setattr(
        execute, "explain_fold", lambda task, context: done.append(task.fold) or explain_fold(task, context)
    )
    before = query(copied, "SELECT * FROM attribution ORDER BY 1, 2, 3, 4, 5")
    run_study(PLAN, options_for(folder, copied.parent))
    assert done == []
    # A lost fold is explained again, to the same numbers; its neighbour is left alone.
    lost = query(copied, "SELECT path FROM artifact WHERE kind = 'explanations' AND fold = 1")[0][0]
    (copied.parent / lost).unlink()
    run_study(PLAN, options_for(folder, copied.parent))
    assert done == [1]
    assert query(copied, "SELECT * FROM attribution ORDER BY 1, 2, 3, 4, 5") == before


def forget_explanations(store):
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("DELETE FROM attribution")
        connection.execute("DELETE FROM artifact WHERE kind IN ('explanations', 'heat map', 'class maps')")
        connection.execute("DELETE FROM metric WHERE metric LIKE 'localisation%'")


def test_a_fold_that_fails_costs_that_fold_only_and_says_so(copied, folder, monkeypatch):
    def fail(task, context):
        if task.fold == 0:
            raise TrainingError("no light")
        return explain_fold(task, context)

    monkeypatch.setattr(execute, "explain_fold", fail)
    forget_explanations(copied)
    summary = run_study(PLAN, options_for(folder, copied.parent))
    assert summary["status"] == "complete"
    assert query(copied, "SELECT DISTINCT fold FROM attribution") == [(1,)]
    reasons = query(copied, "SELECT DISTINCT reason FROM metric WHERE metric = 'localisation_energy'")
    assert reasons == [("fold 0 is not explained: no light",)]
    # The next start makes up for it.
    monkeypatch.undo()
    run_study(PLAN, options_for(folder, copied.parent))
    assert query(copied, "SELECT DISTINCT fold FROM attribution ORDER BY 1") == [(0,), (1,)]
    reasons = query(copied, "SELECT DISTINCT reason FROM metric WHERE metric = 'localisation_energy'")
    assert reasons == [("",)]


def test_no_fault_of_the_stage_fails_the_study(copied, folder, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("out of paint")

    monkeypatch.setattr(explaining, "surest", fail)
    forget_explanations(copied)
    assert run_study(PLAN, options_for(folder, copied.parent))["status"] == "complete"
    assert query(copied, "SELECT COUNT(*) FROM attribution") == [(0,)]


def test_a_lost_checkpoint_is_a_fault_of_its_fold(copied, folder):
    forget_explanations(copied)
    for path in (copied.parent / "artifacts").rglob("fold0/model.safetensors"):
        path.unlink()
    assert run_study(PLAN, options_for(folder, copied.parent))["status"] == "complete"
    assert query(copied, "SELECT DISTINCT fold FROM attribution") == [(1,)]

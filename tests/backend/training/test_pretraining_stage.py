"""Pretrain, probe, fine-tune and compare on tiny fruit, as a plan does."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from backend.errors import ConfigError
from backend.training.plan import Plan
from backend.training.pretraining import pretraining_pool
from backend.training.settings import BaselineStage, PretrainingStage
from backend.training.study import StudyOptions, run_study
from backend.training.task import fold_parts

pytestmark = pytest.mark.usefixtures("tiny_backbone")

PLAN = Plan(
    name="tiny-ssl",
    folds=2,
    resolution=16,
    baseline=BaselineStage(trials=1, generation=1, tune_epochs=1, epochs=2, min_steps=0, backbones=("tiny",)),
    pretraining=PretrainingStage(
        methods=("simclr", "supcon", "random_init"),
        epochs=2,
        batch_size=16,
        fractions=(0.5, 1.0),
        min_steps=8,
    ),
)


def query(store: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def store(multilabel_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ssl")
    options = StudyOptions(
        multilabel_folder, out / "store.db", out / "cache", workers=0, quiet=True, device="cpu"
    )
    summary = run_study(PLAN, options)
    assert summary["failed"] == []
    return out / "store.db"


def test_every_run_of_the_table_is_there(store):
    rows = query(
        store, "SELECT kind, method, label_fraction FROM run WHERE purpose <> 'tune' ORDER BY 1, 2, 3"
    )
    assert rows == [
        ("baseline", "supervised", 0.5),
        ("baseline", "supervised", 1.0),
        ("finetune", "simclr", 0.5),
        ("finetune", "simclr", 1.0),
        ("finetune", "supcon", 0.5),
        ("finetune", "supcon", 1.0),
        ("pretrain", "simclr", 1.0),  # never looks at labels: one serves both fractions
        ("pretrain", "supcon", 0.5),
        ("pretrain", "supcon", 1.0),
        ("probe", "random_init", 0.5),
        ("probe", "random_init", 1.0),
        ("probe", "simclr", 0.5),
        ("probe", "simclr", 1.0),
        ("probe", "supcon", 0.5),
        ("probe", "supcon", 1.0),
    ]


def test_fine_tunes_name_their_pretraining(store):
    rows = query(
        store,
        "SELECT c.method, p.method, p.kind, p.label_fraction <= 1 FROM run c "
        "JOIN run p ON p.run_id = c.parent_run_id WHERE c.kind IN ('finetune', 'probe')",
    )
    assert len(rows) == 8
    assert all(child == parent and kind == "pretrain" for child, parent, kind, _ in rows)


def test_probes_hold_every_protocol_for_each_fold_and_pooled(store):
    names = {"mcc", "probe_accuracy", "knn_accuracy", "retrieval_map", "retrieval_r1", "retrieval_r5"}
    for where in ("fold IS NULL", "fold = 0", "fold = 1"):
        found = query(
            store,
            f"SELECT DISTINCT metric FROM metric JOIN run USING (run_id) WHERE kind = 'probe' AND {where}",
        )
        assert names <= {name for (name,) in found}, where


def test_every_stage_of_the_backbone_is_probed_with_all_labels_only(store):
    rows = query(
        store,
        "SELECT DISTINCT label_fraction, metric FROM metric JOIN run USING (run_id) "
        "WHERE metric LIKE 'probe_mcc:%' ORDER BY metric",
    )
    assert rows == [(1.0, f"probe_mcc:stage{stage}") for stage in (1, 2)]


def test_the_last_stage_probed_alone_is_the_probe(store):
    rows = query(
        store,
        "SELECT a.value, b.value FROM metric a JOIN metric b USING (run_id, fold) JOIN run USING (run_id) "
        "WHERE a.metric = 'probe_mcc:stage2' AND b.metric = 'mcc' AND b.defect IS NULL AND fold IS NOT NULL",
    )
    assert rows
    assert all(a == pytest.approx(b) for a, b in rows if a is not None)


def test_strange_fruit_are_told_from_sound_ones(store):
    rows = query(store, "SELECT value FROM metric WHERE metric = 'oneclass_auroc' AND fold IS NOT NULL")
    assert len(rows) == 12
    assert all(value is None or 0 <= value <= 1 for (value,) in rows)


def test_pooled_protocols_are_means_over_the_test_fruit(store):
    rows = query(
        store,
        "SELECT f.value, p.value, (SELECT COUNT(DISTINCT fruit_id) FROM prediction x "
        "WHERE x.run_id = f.run_id AND x.fold = f.fold) FROM metric f JOIN metric p USING (run_id, metric) "
        "JOIN run USING (run_id) WHERE metric = 'retrieval_r1' AND f.fold IS NOT NULL AND p.fold IS NULL "
        "AND kind = 'probe' AND method = 'simclr' AND label_fraction = 1.0",
    )
    values, pooled, sizes = zip(*rows, strict=True)
    assert pooled[0] == pytest.approx(np.average(values, weights=sizes))


def test_pretraining_is_compared_with_its_supervised_partner(store):
    rows = query(
        store,
        "SELECT a.kind, b.kind, a.label_fraction, b.label_fraction, c.verdict FROM comparison c "
        "JOIN run a ON a.run_id = c.run_id_a JOIN run b ON b.run_id = c.run_id_b "
        "WHERE c.defect IS NULL AND c.metric = 'mcc' AND c.test = 'bootstrap'",
    )
    assert len(rows) == 4
    for kind_a, kind_b, fraction_a, fraction_b, verdict in rows:
        assert (kind_a, kind_b) == ("baseline", "finetune")
        assert fraction_a == fraction_b
        assert verdict


def test_health_is_recorded_each_epoch(store):
    rows = query(store, "SELECT DISTINCT metric, epoch FROM curve WHERE split = 'health' ORDER BY 2")
    assert {epoch for _, epoch in rows} == {1, 2}
    assert {"embedding_std", "effective_rank"} <= {metric for metric, _ in rows}


def test_pretraining_never_sees_a_test_fruit(multilabel_context, small_run):
    for fold in (0, 1):
        parts = fold_parts(multilabel_context, small_run(), fold)
        for pool in ("unlabelled", "train"):
            rows = pretraining_pool(parts, multilabel_context, pool)
            groups = np.asarray(multilabel_context.dataset.groups)
            assert len(rows)
            assert not set(groups[rows]) & set(groups[parts.test])
        assert len(pretraining_pool(parts, multilabel_context, "all")) == len(multilabel_context.dataset)


def test_an_unknown_method_lists_the_valid_ones(multilabel_folder, tmp_path):
    options = StudyOptions(multilabel_folder, tmp_path / "s.db", tmp_path / "cache", workers=0, quiet=True)
    with pytest.raises(ConfigError, match=r"'simclrr'.*barlow_twins.*simclr"):
        run_study(PLAN.narrowed(methods=("simclrr",)), options)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"fractions": (0.0,)}, "fractions"),
        ({"pool": "test"}, "pool"),
        ({"epochs": 0}, "epochs"),
        ({"seeds": ()}, "seed"),
    ],
)
def test_a_broken_stage_says_where(fields, words):
    with pytest.raises(ConfigError, match=words):
        PretrainingStage(**fields)

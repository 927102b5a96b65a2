"""What is found out beside numbers: neighbours of fruit and findings about the data."""

import json
from dataclasses import replace

import numpy as np
import pytest

from backend.errors import StoreError
from backend.store.bundle import ArtifactData, AttributionData, MetricValue, NeighbourData
from backend.store.rows import FindingRow


def neighbours(*similarity):
    names = (("b", "c"), ("a", "c"))[: len(similarity)]
    return NeighbourData(("a", "b")[: len(similarity)], names, np.array(similarity, dtype=np.float32))


def test_neighbours_are_kept_in_order_and_replaced(store, fill):
    run_id = fill(store)
    store.add_neighbours(run_id, neighbours([0.9, 0.1], [0.9, 0.2]))
    store.add_neighbours(run_id, neighbours([0.75, 0.5]))
    rows = store.rows("SELECT fruit_id, rank, neighbour_id, similarity FROM neighbour ORDER BY rank")
    assert [tuple(row) for row in rows] == [("a", 1, "b", 0.75), ("a", 2, "c", 0.5)]


def test_neighbours_need_a_run(store):
    with pytest.raises(StoreError, match="unknown run"):
        store.add_neighbours("nobody", neighbours([0.9, 0.1]))


def test_findings_replace_those_of_their_kind_only(store, fill):
    fill(store)
    dataset_id = store.value("SELECT dataset_id FROM dataset")
    store.replace_findings(
        dataset_id,
        ("label_issue", "outlier"),
        [
            FindingRow("label_issue", "rot", "a", value=0.9),
            FindingRow("outlier", "", "b", value=float("nan")),
        ],
    )
    store.replace_findings(
        dataset_id, ("label_issue",), [FindingRow("label_issue", "rot", "c", value=0.8, detail={"given": 1})]
    )
    rows = store.rows("SELECT kind, fruit_id, value, detail FROM finding ORDER BY kind")
    assert [(row["kind"], row["fruit_id"], row["value"], json.loads(row["detail"])) for row in rows] == [
        ("label_issue", "c", 0.8, {"given": 1}),
        ("outlier", "b", None, {}),
    ]


def test_added_metrics_stand_beside_those_of_the_run_and_replace_their_own(store, fill):
    run_id = fill(store)
    before = store.pooled_metric_names(run_id)
    store.add_metrics(run_id, [MetricValue("shapley:nir", 0.4, "bruising"), MetricValue("shapley:nir", 0.1)])
    store.add_metrics(run_id, [MetricValue("shapley:nir", 0.3, "bruising", ci_low=0.2, ci_high=0.4)])
    rows = store.rows("SELECT defect, value, ci_low FROM metric WHERE metric = 'shapley:nir' ORDER BY value")
    assert [tuple(row) for row in rows] == [(None, 0.1, None), ("bruising", 0.3, 0.2)]
    assert store.pooled_metric_names(run_id) == before | {"shapley:nir"}
    with pytest.raises(StoreError, match="unknown run"):
        store.add_metrics("nobody", [])


def test_heat_maps_belong_to_the_fold_whose_model_they_explain(store, fill):
    run_id = fill(store)
    picture = ArtifactData("fold0/heat/a.png", "heat map", b"grey")
    shown = AttributionData("a", "bruising", "nir", "2", picture.name, {"outcome": "tp", "pointing": 1.0})
    store.add_attributions(run_id, [shown], [picture], fold=0)
    row = store.row("SELECT fold, scores FROM attribution WHERE modality = 'nir'")
    assert (row["fold"], json.loads(row["scores"])) == (0, {"outcome": "tp", "pointing": 1.0})
    assert store.value("SELECT fold FROM artifact WHERE name = ?", picture.name) == 0


def test_an_artifact_is_read_back_unless_it_was_lost_or_damaged(store, fill):
    run_id = fill(store)
    path = store.add_artifact(run_id, ArtifactData("facts.json", "json", b"{}"))
    assert store.load_artifact(run_id, "facts.json") == store.require_artifact(run_id, "facts.json") == b"{}"
    assert store.load_artifact(run_id, "nothing.json") is None
    path.write_bytes(b"[]")
    assert store.load_artifact(run_id, "facts.json") is None
    path.unlink()
    assert store.load_artifact(run_id, "facts.json") is None
    with pytest.raises(StoreError, match=rf"'facts.json' of run {run_id} is missing or damaged"):
        store.require_artifact(run_id, "facts.json")


def test_a_run_of_another_study_stands_for_the_same_one_while_its_files_are_there(store, fill, make_run):
    twin = fill(store)
    ours = make_run(study_id="study-2")
    folds = store.study("study-1").fold_version
    store.connection.execute("UPDATE study SET plan = '{\"seed\": 7}'")
    assert store.twin_run(ours, folds, 7) == twin
    for other in (replace(ours, seed=1), replace(ours, n_folds=1), replace(ours, study_id="study-1")):
        assert store.twin_run(other, folds, 7) is None
    assert store.twin_run(ours, "other folds", 7) is None
    assert store.twin_run(ours, folds, 8) is None
    store.connection.execute("DELETE FROM artifact WHERE fold = 1")  # as `gc --artifacts-only` may
    assert store.twin_run(ours, folds, 7) is None

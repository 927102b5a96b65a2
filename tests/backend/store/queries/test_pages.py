"""Queries of the pages on explanations, features, the search and the data, counted by hand."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from backend.store.bundle import (
    ArtifactData,
    AttributionData,
    EmbeddingData,
    FoldBundle,
    MetricValue,
    NeighbourData,
)
from backend.store.connection import open_readonly
from backend.store.queries import explanations, findings, space, tuning
from backend.store.rows import FindingRow, StudyRow
from backend.store.writer import RunStore

NAN = float("nan")
IDS = ("a", "b", "c")


@pytest.fixture(scope="module")
def connection(tmp_path_factory, data_set, row):
    path: Path = tmp_path_factory.mktemp("queries") / "store.db"
    dataset = data_set(
        "d",
        fruit_ids=IDS,
        groups=("p1", "p1", "p2"),
        labels=np.array([[1, 1], [1, 0], [NAN, 0]], np.float32),
        pressures=np.array([[1], [2], [NAN]], np.float32),
        modalities={"rgb": ("1", "2")},
        paths={("rgb", "1"): ("a.png", "b.png", "c.png"), ("rgb", "2"): ("", "b2.png", "")},
    )
    with RunStore(path) as store:
        store.add_dataset(dataset, [])
        store.start_study(StudyRow("s", "study", {}, "d", "mcc", {"a": 0}))
        for run_id, changes in (("r1", {}), ("r2", {"purpose": "tune"}), ("r3", {"purpose": "tune"})):
            store.start_run(row(run_id, "s", "d", **changes))
        store.start_run(row("confirmed", "s", "d", purpose="tune", params={"label": "at full length"}))
        for run_id in ("r1", "r2"):
            store.write_fold(run_id, FoldBundle(0, 10.0, metrics=(MetricValue("inner_mcc", 0.5),)))
            store.finish_run(run_id, (MetricValue("inner_mcc", 0.5),))
        heat = ArtifactData("heat.png", "attribution", b"png")
        scores = {"outcome": "tp", "score": 0.75, "pointing": 1.0}
        store.add_attributions(
            "r1",
            [
                AttributionData("a", "rot", "rgb", "1", "heat.png", scores),
                AttributionData("b", "rot", "rgb", "1", "heat.png"),
            ],
            [heat],
        )
        xy = np.array([[0, 1], [2, 3], [4, 5]], np.float32)
        store.add_embeddings("r1", [EmbeddingData(name, IDS, xy) for name in ("tsne", "pca")])
        near = (("b", "c"), ("a", "c"), ("a", "b"))
        store.add_neighbours("r1", NeighbourData(IDS, near, np.full((3, 2), 0.5, np.float32)))
        found = [
            FindingRow("outlier", "", "a", value=2.0),
            FindingRow("outlier", "", "b", value=3.0),
            FindingRow("duplicate", "", "a", "b", 4.0),
            FindingRow("duplicate", "", "a", "c", 1.0, {"sensor": "rgb"}),
            FindingRow("drift", "rgb · p1", value=-2.0),
            FindingRow("drift", "rgb · p2", value=1.0),
        ]
        store.replace_findings("d", ("outlier", "duplicate", "drift"), found)
    with closing(open_readonly(path)) as opened:
        yield opened


def test_only_runs_with_maps_are_explained(connection) -> None:
    found = explanations.explained_runs(connection, "d")
    assert found["run_id"].tolist() == ["r1"] and found["twin"].tolist() == [0]
    assert explanations.explained_runs(connection, "d", "other").empty


def test_maps_come_with_what_the_run_said(connection) -> None:
    rows = explanations.attributions(connection, "r1").set_index("fruit_id")
    assert rows.loc["a", ["outcome", "score", "pointing", "fruit_group"]].tolist() == ["tp", 0.75, 1.0, "p1"]
    assert rows.loc["b", "outcome"] == "" and rows["score"].isna().tolist() == [False, True]
    assert rows.loc["a", "path"].endswith("r1/heat.png")


def test_points_and_neighbours(connection) -> None:
    assert space.projected_runs(connection, "d", "s")["run_id"].tolist() == ["r1"]
    assert space.projections(connection, "r1") == ["pca", "tsne"]
    points = space.points(connection, "r1", "tsne")
    assert points[["fruit_id", "x", "y"]].to_numpy().tolist() == [["a", 0, 1], ["b", 2, 3], ["c", 4, 5]]
    rows = space.neighbours(connection, "r1")
    assert rows[rows["fruit_id"] == "c"]["neighbour_id"].tolist() == ["a", "b"]
    facts = space.fruit_facts(connection, "d")
    assert facts["fruit_id"].tolist() == list(IDS) and facts["fruit_group"].tolist() == ["p1", "p1", "p2"]


def test_trials_have_a_score_where_they_finished(connection) -> None:
    rows = tuning.trials(connection, "d").set_index("run_id")
    assert rows.index.tolist() == ["r2", "r3"] and rows["score"].tolist()[0] == 0.5
    assert rows["score"].isna().tolist() == [False, True] and "epochs" in rows.loc["r2", "params"]


def test_what_confirmed_a_trial_is_no_trial(connection) -> None:
    assert "confirmed" not in tuning.trials(connection, "d")["run_id"].tolist()


def test_time_is_summed_by_purpose(connection) -> None:
    rows = tuning.time_spent(connection, "d", "s").set_index("purpose")
    assert rows["runs"].to_dict() == {"final": 1, "tune": 3}
    assert tuning.time_spent(connection, "d", "other").empty


def test_findings_come_strongest_first(connection) -> None:
    rows = findings.findings(connection, "d")
    assert rows[rows["kind"] == "outlier"]["fruit_id"].tolist() == ["b", "a"]
    assert rows[rows["kind"] == "duplicate"]["value"].tolist() == [1.0, 4.0], "nearer pairs are stronger"
    assert rows[rows["kind"] == "drift"]["value"].tolist() == [-2.0, 1.0]
    assert findings.findings(connection, "other").empty


def test_pairs_groups_and_inputs_are_counted(connection) -> None:
    pairs = findings.co_occurrence(connection, "d")
    n = {(a, b): k for a, b, k in pairs.itertuples(index=False, name=None)}
    assert n == {("rot", "rot"): 2, ("rot", "scar"): 1, ("scar", "rot"): 1, ("scar", "scar"): 1}
    groups = findings.groups(connection, "d").set_index(["fruit_group", "defect"])
    assert groups.loc[("p1", "rot")].tolist() == [2, 2] and groups.loc[("p2", "rot")].tolist() == [0, 0]
    inputs = findings.inputs(connection, "d").set_index(["sensor", "part"])["present"].to_dict()
    assert inputs == {("rgb", "1"): 3, ("rgb", "2"): 1, ("pressure", "tap"): 2}

"""Files of a run lie in its own folder, whatever they are called."""

import numpy as np
import pytest

from backend.errors import StoreError
from backend.store.bundle import ArtifactData, AttributionData, EmbeddingData, FoldBundle


def test_a_file_that_is_gone_already_does_not_stop_a_fold(store, fill, query):
    run_id = fill(store)
    store.artifact_path(run_id, "fold0/heat.png").unlink()
    store.write_fold(run_id, FoldBundle(0, 9.0))
    assert query("SELECT fold FROM artifact") == [(1,)]


def test_artifacts_explanations_and_projections_after_the_run(store, fill, store_path, query):
    run_id = fill(store)
    path = store.add_artifact(run_id, ArtifactData("card.md", "model card", b"# card"))
    assert path.read_bytes() == b"# card"
    assert path == store.artifact_path(run_id, "card.md")
    assert path.is_relative_to(store_path.parent / "artifacts" / "store" / run_id)
    store.add_artifact(run_id, ArtifactData("card.md", "model card", b"# new"))
    assert path.read_bytes() == b"# new"
    store.add_attributions(
        run_id,
        [AttributionData("fruit-1", "bruising", "rgb", "2", "maps/fruit-1.png")],
        [ArtifactData("maps/fruit-1.png", "heat map", b"png")],
    )
    stored = store.value("SELECT path FROM attribution WHERE fruit_id = 'fruit-1'")
    assert stored == f"artifacts/store/{run_id}/maps/fruit-1.png"
    assert (store_path.parent / stored).read_bytes() == b"png"
    points = EmbeddingData("tsne", ("fruit-1", "fruit-2"), np.array([[0, 1], [2, 3]], np.float32))
    store.add_embeddings(run_id, [points])
    store.add_embeddings(run_id, [points])
    assert query("SELECT fruit_id, x, y FROM embedding WHERE projection = 'tsne'") == [
        ("fruit-1", 0.0, 1.0),
        ("fruit-2", 2.0, 3.0),
    ]
    with pytest.raises(StoreError, match="no artifact 'lost'"):
        store.artifact_path(run_id, "lost")
    with pytest.raises(StoreError, match="no artifact 'lost'"):
        store.add_attributions(run_id, [AttributionData("fruit-1", "bruising", "rgb", "2", "lost")])


def test_folds_cannot_overwrite_each_others_files(store, fill):
    run_id = fill(store)
    with pytest.raises(StoreError, match="belongs to another fold"):
        store.write_fold(run_id, FoldBundle(1, 1.0, artifacts=(ArtifactData("fold0/heat.png", "x", b"x"),)))


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "a/../../evil",
        "",
        ".",
        "a//b",
        "a\\..\\b",
        "C:evil",
        "a\x00b",
        "a/",
        "x" * 300,
    ],
)
def test_artifact_names_cannot_leave_their_folder(store, fill, tmp_path, name, query):
    run_id = fill(store)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError):
        store.write_fold(run_id, FoldBundle(0, 1.0, artifacts=(ArtifactData(name, "x", b"x"),)))
    assert sorted(tmp_path.rglob("*")) == before
    assert query("SELECT COUNT(*) FROM prediction WHERE fold = 0") != [(0,)]


def test_a_link_in_the_artifact_folder_is_not_followed(store, fill, tmp_path, store_path):
    run_id = fill(store)
    outside = tmp_path / "outside"
    outside.mkdir()
    (store_path.parent / "artifacts" / "store" / run_id / "trap").symlink_to(outside)
    with pytest.raises(StoreError, match="outside"):
        store.add_artifact(run_id, ArtifactData("trap/file", "x", b"x"))
    assert list(outside.iterdir()) == []

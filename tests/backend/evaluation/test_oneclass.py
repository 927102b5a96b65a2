"""One-class scores and representation health: known answers, and collapse that is seen."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis, pdist
from sklearn.covariance import LedoitWolf
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

from backend.errors import DataError
from backend.evaluation.health import (
    alignment_loss,
    collapse_reason,
    effective_rank,
    embedding_std,
    health,
    uniformity_loss,
)
from backend.evaluation.oneclass import SCORERS, anomaly_scores, one_class


@pytest.fixture
def fruit():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(200, 8))
    query = rng.normal(size=(120, 8))
    query[:30] += 2.0
    return normal.astype(np.float32), query.astype(np.float32), np.arange(120) < 30


@pytest.mark.parametrize("k", [1, 5])
def test_knn_distance_is_scikit_learns(fruit, k):
    normal, query, strange = fruit
    expected = NearestNeighbors(n_neighbors=k).fit(normal).kneighbors(query)[0].mean(axis=1)
    np.testing.assert_allclose(anomaly_scores(normal, query, k=k), expected, rtol=1e-5)
    result = one_class(normal, query, strange, k=k)
    assert result.auroc == pytest.approx(roc_auc_score(strange, expected), abs=1e-6)
    assert result.average_precision == pytest.approx(average_precision_score(strange, expected), abs=1e-6)


def test_mahalanobis_is_scipys(fruit):
    normal, query, _ = fruit
    model = LedoitWolf().fit(normal)
    expected = [mahalanobis(q, model.location_, np.linalg.inv(model.covariance_)) for q in query]
    np.testing.assert_allclose(anomaly_scores(normal, query, scorer="mahalanobis"), expected, rtol=1e-3)


@pytest.mark.parametrize("scorer", SCORERS)
def test_every_scorer_finds_strange_fruit(fruit, scorer):
    normal, query, strange = fruit
    result = one_class(normal, query, strange, scorer=scorer)
    assert result.auroc > 0.9
    assert {v.metric for v in result.metrics()} == {"oneclass_auroc", "oneclass_average_precision"}


def test_whitening_sees_what_loud_dimensions_hide():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(300, 6)) * [9, 9, 9, 1, 1, 1]
    query = rng.normal(size=(200, 6)) * [9, 9, 9, 1, 1, 1]
    strange = np.arange(200) < 60
    query[strange, 3:5] += 3
    parts = normal.astype(np.float32), query.astype(np.float32), strange
    assert one_class(*parts, scorer="knn_whitened").auroc > one_class(*parts, scorer="knn").auroc + 0.1


def test_local_density_judges_by_the_neighbourhood():
    """One variety is tight, one wide: a fruit just outside the tight one is stranger than one in the wide."""
    rng = np.random.default_rng(0)
    normal = np.concatenate([rng.normal(0, 0.05, (100, 4)), rng.normal(20, 3, (100, 4))]).astype(np.float32)
    query = np.array([[0.8, 0, 0, 0], [20, 22, 18, 21]], dtype=np.float32)
    outside, inside = anomaly_scores(normal, query, scorer="local_density")
    assert outside > 3 * inside
    plain_outside, plain_inside = anomaly_scores(normal, query, scorer="knn")
    assert plain_outside < plain_inside


def test_too_few_normal_fruit_are_refused(fruit):
    normal, query, strange = fruit
    with pytest.raises(DataError, match="1 normal training fruit"):
        anomaly_scores(normal[:1], query)
    assert one_class(normal[:3], query, strange, k=5).auroc > 0.5
    none = one_class(normal, query, np.zeros(120, dtype=bool))
    assert all(v.value is None and v.reason for v in none.metrics())


def test_spread_embeddings_are_healthy():
    z = np.random.default_rng(0).normal(size=(1500, 32))
    assert embedding_std(z) == pytest.approx(1, abs=0.02)
    assert effective_rank(z) == pytest.approx(32, rel=0.02)
    assert collapse_reason(health(z)) == ""


def test_known_values():
    axes = np.eye(4)
    assert effective_rank(axes) == pytest.approx(4)
    assert effective_rank(np.ones((5, 3))) == pytest.approx(1)
    assert effective_rank(np.zeros((5, 3))) == 0
    assert alignment_loss(axes, axes) == 0
    assert alignment_loss(axes, -axes) == pytest.approx(4)
    assert alignment_loss(axes, np.roll(axes, 1, axis=0)) == pytest.approx(2)
    assert uniformity_loss(axes) == pytest.approx(np.log(np.exp(-4)))
    assert uniformity_loss(np.ones((5, 3))) == pytest.approx(0)
    assert np.isnan(uniformity_loss(np.ones((1, 3))))


def test_uniformity_is_the_papers_over_all_pairs():
    z = np.random.default_rng(0).normal(size=(60, 5))
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    assert uniformity_loss(z) == pytest.approx(np.log(np.exp(-2 * pdist(unit) ** 2).mean()))


def test_collapse_is_seen_and_named():
    rng = np.random.default_rng(0)
    point = np.ones((100, 16)) + 0.001 * rng.normal(size=(100, 16))
    assert "nearly alike" in collapse_reason(health(point))
    line = np.outer(rng.normal(size=100), np.ones(16))
    assert "on a line" in collapse_reason(health(line))
    broken = rng.normal(size=(100, 16))
    broken[3] = np.nan
    values = {**health(rng.normal(size=(100, 16))), "embedding_std": float("nan")}
    assert "not finite" in collapse_reason(values)


def test_tensors_and_arrays_agree_and_large_sets_are_thinned():
    z = np.random.default_rng(0).normal(size=(5000, 8)).astype(np.float32)
    pairs = z + 0.1
    ours = health(z, pairs)
    theirs = health(torch.tensor(z, requires_grad=True), torch.tensor(pairs))
    assert ours == pytest.approx(theirs)
    assert set(ours) == {"embedding_std", "effective_rank", "uniformity_loss", "alignment_loss"}
    assert ours["embedding_std"] == embedding_std(z[::3])

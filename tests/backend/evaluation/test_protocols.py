"""Probe, kNN, retrieval and clustering: against scikit-learn and naive transcriptions."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, matthews_corrcoef

from backend.evaluation.clustering import clustering, purity_score
from backend.evaluation.features import Part
from backend.evaluation.knn import knn, knn_scores, neighbours
from backend.evaluation.probe import GRID, linear_probe
from backend.evaluation.retrieval import retrieve


def blobs(n, seed, n_classes=3, spread=1.0, width=12):
    rng = np.random.default_rng(seed)
    centres = 3 * np.random.default_rng(99).normal(size=(n_classes, width))
    true = rng.integers(0, n_classes, n)
    x = centres[true] + spread * 3 * rng.normal(size=(n, width))
    return Part(x.astype(np.float32), np.eye(n_classes, dtype=np.float32)[true])


def defects(n, seed, unlabelled=0.0, width=12):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)) * np.linspace(0.1, 10, width)
    true = (
        x[:, :3] / np.linspace(0.1, 10, width)[:3] + 0.5 * rng.normal(size=(n, 3)) > [0.5, 0.8, 0.0]
    ).astype(np.float32)
    true[rng.random(true.shape) < unlabelled] = np.nan
    return Part(x.astype(np.float32), true)


def naive_knn(train, query, k, temperature=0.07):
    scores = np.full((len(query), train.labels.shape[1]), np.nan)
    for j in range(train.labels.shape[1]):
        rows = np.flatnonzero(~np.isnan(train.labels[:, j]))
        for i, q in enumerate(query):
            cos = np.array(
                [q @ train.features[r] / np.linalg.norm(q) / np.linalg.norm(train.features[r]) for r in rows]
            )
            best = np.argsort(-cos)[:k]
            weight = np.exp(cos[best] / temperature)
            scores[i, j] = (weight * train.labels[rows[best], j]).sum() / weight.sum()
    return scores


@pytest.mark.parametrize("unlabelled", [0.0, 0.3])
def test_knn_is_the_naive_one(unlabelled):
    train, query = defects(80, 0, unlabelled), defects(30, 1)
    np.testing.assert_allclose(
        knn_scores(train, query.features, k=5), naive_knn(train, query.features, 5), atol=1e-5
    )


@pytest.mark.parametrize(("n", "k"), [(1, 1), (19, 1), (20, 2), (150, 15), (10_000, 20)])
def test_knn_k_grows_with_the_training_part(n, k):
    assert neighbours(n) == k


def test_knn_of_a_tiny_or_unlabelled_gallery():
    train = Part(np.eye(2, dtype=np.float32), np.array([[1, np.nan], [0, np.nan]], dtype=np.float32))
    scores = knn_scores(train, np.array([[1, 0.1]], dtype=np.float32), k=20)
    assert scores[0, 0] > 0.99
    assert scores[0, 1] == 0.5


def test_knn_outcomes_decide():
    outcome = knn(blobs(300, 0), blobs(80, 1), blobs(200, 2).features, task="multiclass")
    assert matthews_corrcoef(blobs(200, 2).labels.argmax(axis=1), outcome.y_pred.argmax(axis=1)) > 0.8
    np.testing.assert_allclose(outcome.score.sum(axis=1), 1, atol=1e-5)
    multilabel = knn(defects(300, 0), defects(80, 1), defects(50, 2).features, task="multilabel")
    assert ((multilabel.score >= multilabel.thresholds) == multilabel.y_pred).all()


def test_the_probe_is_scikit_learns_at_the_chosen_penalty():
    train, val, query = defects(200, 0), defects(80, 1), defects(60, 2)
    outcome = linear_probe(train, val, query.features, task="multilabel")
    notes = dict(outcome.notes)
    mean, std = train.features.mean(axis=0), train.features.std(axis=0)
    for j in range(3):
        c = float(notes[f"probe_c[{j}]"])
        assert c in GRID
        model = LogisticRegression(C=c, max_iter=2000, tol=1e-6)
        model.fit((train.features - mean) / std, train.labels[:, j])
        expected = model.predict_proba((query.features - mean) / std)[:, 1]
        np.testing.assert_allclose(outcome.score[:, j], expected, atol=5e-3)
        best = -1.0
        for other in GRID:
            model.set_params(C=other).fit((train.features - mean) / std, train.labels[:, j])
            score = model.predict_proba((val.features - mean) / std)[:, 1]
            best = max(best, *(matthews_corrcoef(val.labels[:, j], score >= cut) for cut in np.unique(score)))
        model.set_params(C=c).fit((train.features - mean) / std, train.labels[:, j])
        chosen = model.predict_proba((val.features - mean) / std)[:, 1]
        reached = matthews_corrcoef(val.labels[:, j], chosen >= outcome.thresholds[j])
        assert reached == pytest.approx(best, abs=0.03)


def test_the_multiclass_probe_finds_blobs_and_scales_do_not_matter():
    train, val, query = blobs(200, 0), blobs(60, 1), blobs(300, 2)
    outcome = linear_probe(train, val, query.features, task="multiclass")
    true = query.labels.argmax(axis=1)
    assert matthews_corrcoef(true, outcome.y_pred.argmax(axis=1)) > 0.85
    np.testing.assert_allclose(outcome.score.sum(axis=1), 1, atol=1e-5)
    scale = np.geomspace(1e-3, 1e3, 12).astype(np.float32)
    scaled = linear_probe(
        Part(train.features * scale, train.labels),
        Part(val.features * scale, val.labels),
        query.features * scale,
        task="multiclass",
    )
    np.testing.assert_allclose(outcome.score, scaled.score, atol=1e-3)


def test_test_labels_and_test_features_change_no_choice():
    train, val, query = defects(150, 0), defects(60, 1), defects(40, 2)
    one = linear_probe(train, val, query.features, task="multilabel")
    other = linear_probe(train, val, query.features[::-1].copy(), task="multilabel")
    assert one.notes == other.notes
    assert (one.thresholds == other.thresholds).all()
    np.testing.assert_allclose(one.score, other.score[::-1], atol=1e-6)


@pytest.mark.parametrize(("draw", "task"), [(defects, "multilabel"), (blobs, "multiclass")])
def test_validation_fruit_are_scored_by_the_chosen_model(draw, task):
    train, val = draw(200, 0), draw(60, 1)
    outcome = linear_probe(train, val, val.features, task=task)
    np.testing.assert_array_equal(outcome.validation, outcome.score)
    lonely = Part(train.features[:5], np.repeat(np.eye(train.labels.shape[1], dtype=np.float32)[:1], 5, 0))
    single = linear_probe(lonely, val, val.features[:7], task=task)
    np.testing.assert_array_equal(single.validation, np.repeat(single.score[:1], 60, 0))


def test_the_probe_of_one_class_or_no_label():
    train, val, query = defects(60, 0), defects(30, 1), defects(20, 2)
    train.labels[:, 0], train.labels[:, 1] = 0, np.nan
    val.labels[:, 2] = np.nan
    outcome = linear_probe(train, val, query.features, task="multilabel")
    assert (outcome.score[:, 0] == 0).all()
    assert (outcome.y_pred[:, 0] == 0).all()
    assert (outcome.score[:, 1] == 0.5).all()
    assert outcome.thresholds[2] == 0.5
    assert outcome.score[:, 2].std() > 0
    lonely = Part(train.features, np.tile(np.array([0, 1, 0], dtype=np.float32), (60, 1)))
    single = linear_probe(lonely, blobs(30, 1), query.features, task="multiclass")
    assert (single.y_pred == [0, 1, 0]).all()


def naive_retrieval(gallery, query, gallery_groups, query_groups, alike):
    precisions, first = [], []
    for q in range(len(query.features)):
        rows = [g for g in range(len(gallery.features)) if gallery_groups[g] != query_groups[q]]
        cos = [
            query.features[q] @ gallery.features[g]
            / np.linalg.norm(query.features[q])
            / np.linalg.norm(gallery.features[g])
            for g in rows
        ]  # fmt: skip
        relevant = np.array([alike(query.labels[q], gallery.labels[g]) for g in rows])
        if relevant.any():
            precisions.append(average_precision_score(relevant, cos))
            first.append(1 + int(np.argmax(relevant[np.argsort(-np.array(cos), kind="stable")])))
    return np.array(precisions), np.array(first)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_retrieval_is_the_naive_one(task):
    make = blobs if task == "multiclass" else defects
    gallery, query = make(70, 0), make(40, 1)
    gallery_groups, query_groups = np.arange(70) % 9, np.arange(40) % 9

    def alike(a, b):
        return bool((a * b).any() or (not a.any() and not b.any()))

    result = retrieve(gallery, query, task=task, gallery_groups=gallery_groups, query_groups=query_groups)
    precisions, first = naive_retrieval(gallery, query, gallery_groups, query_groups, alike)
    np.testing.assert_allclose(result.average_precision, precisions, atol=1e-6)
    assert result.first_hit.tolist() == first.tolist()
    values = {v.metric: v.value for v in result.metrics()}
    assert values["retrieval_map"] == pytest.approx(precisions.mean(), abs=1e-6)
    assert values["retrieval_r1"] == (first == 1).mean()
    assert values["retrieval_r5"] == (first <= 5).mean()


def test_a_query_never_finds_its_own_group():
    gallery = blobs(60, 0)
    groups = np.arange(60) // 2
    same = retrieve(gallery, gallery, task="multiclass")
    assert same.recall_at(1) == 1  # each finds itself
    apart = retrieve(gallery, gallery, task="multiclass", gallery_groups=groups, query_groups=groups)
    assert apart.recall_at(1) < 1
    alone = np.zeros(60, dtype=int)
    nothing = retrieve(gallery, gallery, task="multiclass", gallery_groups=alone, query_groups=alone)
    assert nothing.left_out == 60
    assert all(v.value is None and v.reason for v in nothing.metrics())


def test_unlabelled_fruit_neither_ask_nor_answer():
    gallery, query = defects(50, 0), defects(30, 1)
    whole = retrieve(gallery, query, task="multilabel")
    more = Part(
        np.concatenate([gallery.features, query.features]),
        np.concatenate([gallery.labels, np.full_like(query.labels, np.nan)]),
    )
    np.testing.assert_array_equal(
        retrieve(more, query, task="multilabel").average_precision, whole.average_precision
    )
    query.labels[:7] = np.nan
    assert retrieve(gallery, query, task="multilabel").left_out == whole.left_out + 7


def test_clusters_of_separate_blobs_agree_with_the_classes():
    part = blobs(200, 0, spread=0.1)
    assert [v.value for v in clustering(part.features, part.labels, seed=0)] == pytest.approx([1, 1, 1])
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(200, 5)).astype(np.float32)
    nmi, ari, purity = (v.value for v in clustering(noise, part.labels, seed=0))
    assert nmi < 0.1
    assert abs(ari) < 0.05
    assert 0.33 <= purity < 0.5
    part.labels[:50] = np.nan
    assert clustering(part.features, part.labels, seed=0)[0].value == pytest.approx(1)


def test_clustering_of_one_class_is_undefined():
    part = blobs(20, 0)
    part.labels[:] = [1, 0, 0]
    assert all(v.value is None and v.reason for v in clustering(part.features, part.labels, seed=0))


def test_purity_by_hand():
    classes = np.array([0, 0, 1, 1, 2, 2])
    assert purity_score(classes, np.array([0, 0, 0, 1, 1, 1])) == pytest.approx(4 / 6)

"""Maps keep what they promise: neighbours, names, repeatability, and an honest refusal of too few fruit."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness as reference

from backend.errors import ConfigError, TrainingError
from backend.explain import projection
from backend.explain.projection import Projector, projection_names, trustworthiness, tsne_name


def clusters(n: int = 90, features: int = 64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three clusters in 64 dimensions, and which fruit belongs to which."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 3
    centres = rng.normal(size=(3, features)) * 4
    return (centres[label] + rng.normal(size=(n, features))).astype(np.float32), label


def separation(xy: np.ndarray, label: np.ndarray) -> float:
    """Share of fruit whose nearest other fruit on the map belongs to the same cluster."""
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    return float((label[distance.argmin(axis=1)] == label).mean())


@pytest.fixture(scope="module")
def projector() -> Projector:
    return Projector(clusters()[0], seed=3)


def test_names_are_those_of_the_contract():
    assert projection_names((5.0, 30.0, 50.0)) == ("pca", "umap", "tsne_5", "tsne", "tsne_50")
    assert projection_names((30.0, 30.0)) == ("pca", "umap", "tsne")
    assert tsne_name(12.5) == "tsne_12.5"


@pytest.mark.parametrize("name", ["pca", pytest.param("umap", marks=pytest.mark.slow), "tsne", "tsne_5"])
def test_every_map_keeps_clusters_apart_and_repeats_itself(projector, name):
    features, label = clusters()
    xy = projector.draw(name)
    assert xy.shape == (90, 2)
    assert xy.dtype == np.float32
    assert separation(xy, label) == 1
    again = Projector(features, seed=3)  # draws this map alone, before any other
    np.testing.assert_array_equal(again.draw(name), xy)


@pytest.mark.slow
def test_interpolated_gradients_draw_a_map_as_good(projector, monkeypatch):
    features, label = clusters()
    tree = projector.draw("tsne")
    monkeypatch.setattr(projection, "interpolates", lambda fruit, width: width < 20)  # grids, then trees
    grid = projector.draw("tsne")
    assert not np.array_equal(tree, grid)
    assert separation(grid, label) == 1
    assert trustworthiness(features, grid) == pytest.approx(trustworthiness(features, tree), abs=0.02)


@pytest.mark.parametrize(
    ("fruit", "width", "grid"),
    [
        (90, 1e-4, False),
        (2500, 1e-4, False),
        (2501, 50.0, True),
        (10_000, 99.9, True),
        (10_000, 100.0, False),
    ],
)
def test_a_grid_is_used_while_it_has_fewer_cells_than_there_are_fruit(fruit, width, grid):
    assert projection.interpolates(fruit, width) is grid


def test_the_seed_matters():
    features, _ = clusters(40)
    first, second = (Projector(features, seed=seed).draw("tsne_5") for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_signs_of_life_while_a_map_is_drawn():
    calls: list[None] = []
    Projector(clusters(40)[0], tick=lambda: calls.append(None)).draw("tsne_5")
    assert len(calls) > 10


def test_perplexity_is_clamped_to_the_data_and_it_is_said(projector):
    assert projector.perplexity("tsne_5") == 5
    assert projector.caveat("tsne_5") == ""
    assert projector.perplexity("tsne_50") == pytest.approx(89 / 3)
    assert projector.caveat("tsne_50") == "perplexity 29.7, the most that 90 fruit allow"
    assert projector.caveat("pca") == ""


@pytest.mark.parametrize(("n", "drawn"), [(1, ()), (2, ()), (3, ("pca",)), (9, ("pca",))])
def test_few_fruit_get_the_maps_that_mean_something(n, drawn):
    small = Projector(clusters(90)[0][:n])
    assert tuple(name for name in small.names if not small.why_not(name)) == drawn
    with pytest.raises(TrainingError, match=f"projection umap: {n} fruit; umap needs 10"):
        small.draw("umap")
    for name in drawn:
        assert small.draw(name).shape == (n, 2)


@pytest.mark.parametrize("name", ["pca", pytest.param("umap", marks=pytest.mark.slow), "tsne", "tsne_5"])
def test_ten_fruit_with_twins_and_one_feature_still_make_a_map(name):
    features = np.repeat(np.arange(5, dtype=np.float32), 2)[:, None]
    xy = Projector(features).draw(name)
    assert xy.shape == (10, 2)
    assert np.isfinite(xy).all()


def test_features_that_are_all_alike_are_refused():
    alike = Projector(np.ones((20, 8), np.float32))
    assert alike.why_not("pca") == "all fruit have the same features"
    with pytest.raises(TrainingError, match="projection pca: all fruit have the same features"):
        alike.draw("pca")


def test_broken_features_and_unknown_names_are_refused():
    features, _ = clusters(20)
    with pytest.raises(ConfigError, match=r"'tsne_7'.*pca.*umap"):
        Projector(features).draw("tsne_7")
    features[3, 3] = np.nan
    with pytest.raises(TrainingError, match="not finite"):
        Projector(features)


@pytest.mark.parametrize("n", [12, 90])
def test_trustworthiness_is_that_of_scikit_learn(n, monkeypatch):
    monkeypatch.setattr(projection, "_BLOCK", 7 * n)  # several blocks
    rng = np.random.default_rng(1)
    features = rng.normal(size=(n, 20)).astype(np.float32)
    for xy in (features[:, :2], rng.normal(size=(n, 2)).astype(np.float32)):
        k = min(10, (n - 1) // 2)
        assert trustworthiness(features, xy) == pytest.approx(
            reference(features, xy, n_neighbors=k), abs=1e-6
        )


def test_trustworthiness_of_a_sample_is_close_to_that_of_all(monkeypatch):
    features, _ = clusters(600)
    xy = features[:, :2]
    whole = trustworthiness(features, xy)
    monkeypatch.setattr(projection, "TRUST_WHOLE", 300)
    monkeypatch.setattr(projection, "TRUST_SAMPLE", 200)
    sampled = trustworthiness(features, xy)
    assert sampled != whole
    assert sampled == pytest.approx(whole, abs=0.03)


def test_trustworthiness_of_a_faithful_map_is_one_whatever_lies_on_top_of_what():
    line = np.repeat(np.arange(30, dtype=np.float32), 2)[:, None]
    assert trustworthiness(line, np.hstack([line, line])) == 1
    assert trustworthiness(np.zeros((2, 3), np.float32), np.zeros((2, 2), np.float32)) is None

"""Fruit on a map: features in two dimensions by PCA, UMAP and t-SNE, and how far each map may be believed.

Every map starts from the same 50 principal components and, UMAP and t-SNE, from the same exact neighbours and
the same start, the first two components: global structure then is that of the data and not of chance
(Kobak and Berens 2019, "The art of using t-SNE for single-cell transcriptomics"; Kobak and Linderman 2021).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.errors import TrainingError, unknown_name

Features = NDArray[np.float32]

COMPONENTS = 50
"""Principal components that UMAP and t-SNE see."""

FEWEST = 10
"""Fruit below which neighbourhoods mean nothing: PCA alone is drawn. PCA itself needs three."""

GRID_SIDE = 50
"""Cells a side, at least, of the grid on which t-SNE's forces are interpolated (openTSNE's default)."""

UMAP_NEIGHBOURS = 15
USUAL_PERPLEXITY = 30.0
TRUST_NEIGHBOURS = 10
TRUST_WHOLE = 5000
"""Fruit up to which trustworthiness is computed from all of them; of more, ``TRUST_SAMPLE`` are drawn."""
TRUST_SAMPLE = 2000

_BLOCK = 1 << 24
_CALLBACK_ITERATIONS = 50


def tsne_name(perplexity: float) -> str:
    """The name of a t-SNE map: ``tsne`` at perplexity 30, else ``tsne_5`` and the like."""
    return "tsne" if perplexity == USUAL_PERPLEXITY else f"tsne_{perplexity:g}"


def projection_names(perplexities: tuple[float, ...]) -> tuple[str, ...]:
    """Names of all maps, the cheapest first."""
    return ("pca", "umap", *dict.fromkeys(tsne_name(perplexity) for perplexity in perplexities))


class Projector:
    """Draws maps of one set of features; what several maps need is computed once.

    The same features, seed and threads give the same maps, whichever of them are drawn and in whatever order.

    Args:
        features: (n, F), n fruit.
        seed: of everything random.
        perplexities: of the t-SNE maps.
        threads: CPU threads.
        tick: called now and then while a map is computed, as a sign of life.

    Raises:
        TrainingError: features that are not finite.
    """

    def __init__(
        self,
        features: Features,
        *,
        seed: int = 0,
        perplexities: tuple[float, ...] = (5.0, 30.0, 50.0),
        threads: int = 1,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        if not np.isfinite(features).all():
            raise TrainingError(
                "features that are not finite", where="projection", action="train again at a lower rate"
            )
        self.features = features
        self.seed, self.threads, self.tick = seed, threads, tick
        self.perplexities = {tsne_name(perplexity): perplexity for perplexity in perplexities}

    @property
    def names(self) -> tuple[str, ...]:
        """The maps this one can draw."""
        return projection_names(tuple(self.perplexities.values()))

    @cached_property
    def reduced(self) -> Features:
        """(n, at most 50) principal components, the largest first."""
        from sklearn.decomposition import PCA
        from threadpoolctl import threadpool_limits

        most = min(COMPONENTS, *self.features.shape)
        with threadpool_limits(self.threads):
            reduced: Features = PCA(most, random_state=self.seed).fit_transform(self.features)
        return reduced.astype(np.float32)

    def why_not(self, name: str) -> str:
        """Why a map cannot be drawn of these features; empty where it can."""
        n, needed = len(self.features), 3 if name == "pca" else FEWEST
        if n < needed:
            return f"{n} fruit; {name} needs {needed}"
        if (self.features == self.features[0]).all():
            return "all fruit have the same features"
        return ""

    def caveat(self, name: str) -> str:
        """What to know about a map beside its name; empty where there is nothing."""
        wanted = self.perplexities.get(name)
        if wanted is None or self.perplexity(name) == wanted:
            return ""
        return f"perplexity {self.perplexity(name):.3g}, the most that {len(self.features)} fruit allow"

    def perplexity(self, name: str) -> float:
        """The perplexity of a t-SNE map; no more than a third of the other fruit can be neighbours."""
        return min(self.perplexities[name], (len(self.features) - 1) / 3)

    def draw(self, name: str) -> NDArray[np.float32]:
        """The map ``name``.

        Returns:
            (n, 2).

        Raises:
            ConfigError: an unknown name.
            TrainingError: these features allow no such map; see ``why_not``.
        """
        if name not in self.names:
            raise unknown_name("projection", name, self.names)
        reason = self.why_not(name)
        if reason:
            raise TrainingError(reason, where=f"projection {name}")
        self.tick()
        if name == "pca":
            return self._plane
        return self._umap() if name == "umap" else self._tsne(self.perplexity(name))

    @property
    def _plane(self) -> NDArray[np.float32]:
        """The first two components; a second one of zeros where the features have but one."""
        missing = max(0, 2 - self.reduced.shape[1])
        return np.pad(self.reduced[:, :2], ((0, 0), (0, missing)))

    def _start(self, spread: float) -> NDArray[np.float64]:
        """The plane scaled to a standard deviation, shaken a little, so that equal fruit can part."""
        plane = self._plane.astype(np.float64) / self._plane[:, 0].std()
        plane += np.random.default_rng(self.seed).normal(scale=0.01, size=plane.shape)
        return plane * spread

    @cached_property
    def _neighbours(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Exact neighbours among the components, nearest first, and their distances: enough for every map."""
        from sklearn.neighbors import NearestNeighbors
        from threadpoolctl import threadpool_limits

        wanted = max([UMAP_NEIGHBOURS, *(int(3 * p) for p in self.perplexities.values())])
        with threadpool_limits(self.threads):
            index = NearestNeighbors(n_neighbors=min(wanted, len(self.features) - 1), algorithm="brute")
            distance, rows = index.fit(self.reduced).kneighbors()
        return rows.astype(np.int64), distance.astype(np.float32)

    def _tsne(self, perplexity: float) -> NDArray[np.float32]:
        import openTSNE
        from openTSNE.affinity import PerplexityBasedNN
        from openTSNE.nearest_neighbors import PrecomputedNeighbors

        rows, distance = (part[:, : max(1, int(3 * perplexity))] for part in self._neighbours)
        affinities = PerplexityBasedNN(
            perplexity=perplexity,
            knn_index=PrecomputedNeighbors(rows, distance.astype(np.float64)),
            n_jobs=self.threads,
        )
        embedding = openTSNE.TSNE(
            negative_gradient_method=_gradient,
            min_num_intervals=GRID_SIDE,
            random_state=self.seed,
            n_jobs=self.threads,
            callbacks=self._alive,
            callbacks_every_iters=_CALLBACK_ITERATIONS,
        ).fit(affinities=affinities, initialization=self._start(1e-4))
        return np.asarray(embedding, dtype=np.float32)

    def _alive(self, iteration: int, error: float, embedding: object) -> bool:
        """The callback of openTSNE; true would stop it."""
        self.tick()
        return False

    def _umap(self) -> NDArray[np.float32]:
        k = min(UMAP_NEIGHBOURS, len(self.features) - 1)
        rows, distance = (part[:, : k - 1] for part in self._neighbours)
        # UMAP counts a fruit as its own first neighbour.
        own = np.arange(len(rows))[:, None]
        known = (np.hstack([own, rows]), np.hstack([np.zeros_like(own, dtype=np.float32), distance]))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "precomputed_knn.*search_index")  # no new fruit will be placed
            warnings.filterwarnings("ignore", message="using precomputed")
            import umap

            model = umap.UMAP(
                n_neighbors=k,
                init=self._start(5.0).astype(np.float32),
                precomputed_knn=known,
                random_state=self.seed,
                n_jobs=1,  # the only order of steps that can be repeated
            )
            return np.asarray(model.fit_transform(self.reduced), dtype=np.float32)


def interpolates(fruit: int, width: float) -> bool:
    """Whether t-SNE's forces are interpolated by FFT at a step rather than summed over a Barnes-Hut tree.

    A grid has cells of side 1, so its time grows with the area of the map; a tree's grows with the fruit.
    Both take about as long at a fruit a cell (CPU time of a step with 10,000 fruit: 43 ms and, on maps 20,
    50, 100 and 200 wide, 8, 11, 45 and 208 ms). A map begins small and ends large, so either alone takes
    half as long again as both in turn (``benchmarks/projection.py``).

    Args:
        fruit: on the map.
        width: of the map as it is now, in its own unit.
    """
    return max(GRID_SIDE, width) ** 2 < fruit


def _gradient(embedding: NDArray[np.float64], affinities: Any, **arguments: Any) -> tuple[float, Any]:
    """Error and gradient of a step, as openTSNE asks for them."""
    from openTSNE.tsne import kl_divergence_bh, kl_divergence_fft

    width = float(embedding.max() - embedding.min())
    by_grid_or_tree = kl_divergence_fft if interpolates(len(embedding), width) else kl_divergence_bh
    found: tuple[float, Any] = by_grid_or_tree(embedding, affinities, **arguments)
    return found


def trustworthiness(
    features: Features, xy: NDArray[np.float32], *, neighbours: int = TRUST_NEIGHBOURS, seed: int = 0
) -> float | None:
    """How far neighbours on a map are neighbours in the features (Venna and Kaski 2001), 0 to 1.

    Equal to scikit-learn's function, which needs memory for all pairs; this one goes in blocks, and takes a
    random sample of the fruit (against all others) where there are more than 5,000.

    Args:
        features: (n, F), what the map was made of, before any reduction.
        xy: (n, 2), the map.
        neighbours: k; at most a little less than half of the fruit are taken.
        seed: of the sample.

    Returns:
        None for fewer than three fruit, where it is not defined.
    """
    from sklearn.neighbors import NearestNeighbors

    n = len(features)
    k = min(neighbours, (n - 1) // 2)
    if n < 3:
        return None
    chosen = np.arange(n)
    if n > TRUST_WHOLE:
        chosen = np.sort(np.random.default_rng(seed).choice(n, TRUST_SAMPLE, replace=False))
    # A fruit that lies on others need not be its own nearest: one more is asked for, and itself left out.
    found = NearestNeighbors(n_neighbors=k + 1).fit(xy).kneighbors(xy[chosen], return_distance=False)
    own = found == chosen[:, None]
    own[~own.any(axis=1), -1] = True
    near = found[~own].reshape(len(chosen), k)
    features = features - features.mean(axis=0)  # the differences below lose fewer digits
    squares = np.einsum("ij,ij->i", features, features)
    excess = 0.0
    step = max(1, _BLOCK // n)
    for start in range(0, len(chosen), step):
        rows = chosen[start : start + step]
        distance = squares - 2 * (features[rows] @ features.T)
        distance[np.arange(len(rows)), rows] = -np.inf
        for column in near[start : start + step].T:
            rank = (distance < distance[np.arange(len(rows)), column][:, None]).sum(axis=1)
            excess += float(np.maximum(rank - k, 0).sum())
    return 1 - 2 * excess / (len(chosen) * k * (2 * n - 3 * k - 1))

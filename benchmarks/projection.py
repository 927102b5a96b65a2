"""t-SNE as this project draws it beside scikit-learn's, after the same PCA, in one run; both gradients too.

``python benchmarks/projection.py [--fruits 10000] [--features 512] [--json]``. Features are clusters of
different sizes with noise in all dimensions. The time of every row begins with the 50 components, so it holds
the search for neighbours and the optimisation. CPU seconds are those of all threads, so that other programs
disturb them little; ratios travel to other machines, times do not. The rows that force a gradient show what
choosing it anew at each step gains (``projection.interpolates``).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from backend.cli import EXIT_OK, print_json, run_command
from backend.errors import ConfigError
from backend.explain import projection
from backend.explain.projection import Projector, interpolates, trustworthiness

PERPLEXITY = 30.0
CLUSTERS = 12

Choice = Callable[[int, float], bool]
"""Fruit and width of the map to whether a grid is used."""


@dataclass(frozen=True)
class Row:
    """One way to draw the map; ``ratio`` = how many times as many CPU seconds scikit-learn takes."""

    what: str
    fruit: int
    seconds: float
    cpu_seconds: float
    trustworthiness: float
    ratio: float | None = None


def features(fruits: int, width: int) -> NDArray[np.float32]:
    """(fruits, width) clusters of unequal size on a few dimensions, under noise on all of them."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(CLUSTERS, 2.0))
    centres = rng.normal(scale=0.3, size=(CLUSTERS, width))
    which = rng.choice(CLUSTERS, size=fruits, p=shares)
    drift = rng.normal(size=(fruits, 6)) @ rng.normal(scale=0.2, size=(6, width))
    return (centres[which] + drift + rng.normal(scale=0.2, size=(fruits, width))).astype(np.float32)


def measure(fruits: int, width: int) -> list[Row]:
    """Draw the map by scikit-learn and by each gradient; every side gets one thread."""
    small = features(100, width)
    _theirs(small, Projector(small).reduced)  # imports
    _ours(small, Projector(small).reduced, "", interpolates)
    points = features(fruits, width)
    reduced = Projector(points).reduced
    theirs = _theirs(points, reduced)
    ways: dict[str, Choice] = {
        "as drawn here": interpolates,
        "Barnes-Hut": lambda fruit, width: False,
        "FFT": lambda fruit, width: True,
    }
    ours = [_ours(points, reduced, what, choice) for what, choice in ways.items()]
    return [theirs, *(replace(row, ratio=theirs.cpu_seconds / row.cpu_seconds) for row in ours)]


def _theirs(points: NDArray[np.float32], reduced: NDArray[np.float32]) -> Row:
    from sklearn.manifold import TSNE

    with threadpool_limits(1):
        return _row(
            "scikit-learn", points, TSNE(perplexity=PERPLEXITY, random_state=0).fit_transform, reduced
        )


def _ours(points: NDArray[np.float32], reduced: NDArray[np.float32], what: str, choice: Choice) -> Row:
    projector = Projector(points, perplexities=(PERPLEXITY,))
    projector.reduced = reduced
    with patch.object(projection, "interpolates", choice):
        return _row(what, points, projector.draw, "tsne")


def _row(
    what: str, points: NDArray[np.float32], draw: Callable[..., NDArray[np.float32]], *arguments: object
) -> Row:
    wall, cpu = time.perf_counter(), time.process_time()
    xy = draw(*arguments)
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    return Row(what, len(points), seconds, cpu_seconds, trustworthiness(points, xy) or 0.0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description="t-SNE of this project beside scikit-learn's.")
    parser.add_argument("--fruits", type=int, default=10_000, help="points (default 10000)")
    parser.add_argument("--features", type=int, default=512, help="dimensions (default 512)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args(argv)
    if args.fruits < 200 or args.features < 50:
        raise ConfigError(
            f"{args.fruits} x {args.features}",
            expected="200 fruits x 50 features or more",
            action="raise them",
        )
    rows = measure(args.fruits, args.features)
    if args.json:
        print_json([asdict(row) for row in rows])
    else:
        print("| t-SNE | fruit | seconds | CPU seconds | trustworthiness | scikit-learn takes |")
        print("|---|---|---|---|---|---|")
        for row in rows:
            ratio = f"{row.ratio:.2f} x" if row.ratio else "–"
            print(
                f"| {row.what} | {row.fruit:,} | {row.seconds:.1f} | {row.cpu_seconds:.1f} "
                f"| {row.trustworthiness:.4f} | {ratio} |"
            )
    return EXIT_OK


if __name__ == "__main__":
    raise SystemExit(run_command(main))

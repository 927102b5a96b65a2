"""Seconds for all metrics with intervals, beside the same resamples scored by scikit-learn, in one run.

``python benchmarks/evaluation.py [--json]``. 3,520 fruit of 4 classes (the size of the strawberries), every
metric of the store, 2,000 resamples. The peer is the loop that one would write: draw fruit, call
scikit-learn's functions on them; it is timed on a few resamples and scaled up, since it takes minutes.
A comparison of two sides of three runs each stands below. Ratios travel to other machines, times do not.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from backend.cli import EXIT_OK, print_json, run_command
from backend.errors import ConfigError
from backend.evaluation.compare import compare
from backend.evaluation.metrics import summarise
from backend.evaluation.pairing import RunMeta, RunPredictions
from backend.store.bundle import Predictions

CLASSES = ("ripe", "unripe", "occluded", "anomalous")
SHARES = (462, 2406, 499, 153)
SORTER = {"ripe": "other", "unripe": "external", "occluded": "external", "anomalous": "internal"}
FOLDS = 5


@dataclass(frozen=True)
class Row:
    """One line of the result; ``ratio`` = how many times as long the peer takes."""

    what: str
    resamples: int
    seconds: float
    ratio: float | None = None


def predictions(seed: int) -> Predictions:
    """Held-out predictions of a fairly good model of the strawberries, drawn at random."""
    true = np.repeat(np.arange(len(CLASSES)), SHARES)
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(true), len(CLASSES))) + 2 * np.eye(len(CLASSES))[true]
    score = np.exp(logits)
    score /= score.sum(axis=1, keepdims=True)
    return Predictions(
        fruit_ids=tuple(f"f{i}" for i in range(len(true))),
        defects=CLASSES,
        y_true=np.eye(len(CLASSES), dtype=np.float32)[true],
        score=score.astype(np.float32),
        y_pred=np.eye(len(CLASSES), dtype=np.uint8)[score.argmax(axis=1)],
    )


def scikit_learn_resample(p: Predictions, rng: np.random.Generator) -> None:
    """Every metric of one resample by scikit-learn."""
    from sklearn import metrics as sk

    rows = rng.integers(0, len(p.fruit_ids), len(p.fruit_ids))
    true, score, called = p.y_true[rows], p.score[rows], p.y_pred[rows]
    for j in range(len(CLASSES)):
        for decided in (
            sk.matthews_corrcoef,
            sk.accuracy_score,
            sk.balanced_accuracy_score,
            sk.f1_score,
            sk.precision_score,
            sk.recall_score,
        ):
            decided(true[:, j], called[:, j])
        sk.roc_auc_score(true[:, j], score[:, j])
        sk.average_precision_score(true[:, j], score[:, j])
    classes, chosen = true.argmax(axis=1), called.argmax(axis=1)
    sk.matthews_corrcoef(classes, chosen)
    sk.accuracy_score(classes, chosen)
    sk.balanced_accuracy_score(classes, chosen)
    sk.top_k_accuracy_score(classes, score, k=3)


def measure(resamples: int, rounds: int) -> list[Row]:
    """Time intervals, the peer's loop and a comparison."""
    p = predictions(0)
    groups = np.array(p.fruit_ids)
    task = {"task": "multiclass", "healthy": "ripe", "kinds": SORTER}
    rng = np.random.default_rng(0)
    peer_resamples = 10

    def peer() -> None:
        for _ in range(peer_resamples):
            scikit_learn_resample(p, rng)

    peer()  # imports
    ours = _median(lambda: summarise(p, groups=groups, resamples=resamples, **task), rounds)  # type: ignore[arg-type]
    theirs = _median(peer, rounds) * resamples / peer_resamples
    sides = [[_run(side * 3 + i) for i in range(3)] for side in range(2)]
    own_group = {fruit: fruit for fruit in p.fruit_ids}
    compared = _median(
        lambda: compare(*sides, groups=own_group, resamples=resamples, **task),  # type: ignore[arg-type]
        rounds,
    )
    return [
        Row("every metric with its interval", resamples, ours, theirs / ours),
        Row("the same by scikit-learn in a loop (scaled up)", resamples, theirs),
        Row("comparison of 3 with 3 runs by MCC", resamples, compared),
    ]


def _run(seed: int) -> RunPredictions:
    p = predictions(seed)
    folds = np.arange(len(p.fruit_ids)) % FOLDS
    return RunPredictions(RunMeta(f"run{seed}", "", "", "", False, frozenset(p.fruit_ids)), p, folds)


def _median(work: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description="Metrics with intervals beside scikit-learn in a loop.")
    parser.add_argument("--resamples", type=int, default=2000, help="bootstrap resamples (default 2000)")
    parser.add_argument("--rounds", type=int, default=5, help="timed repeats, median reported (default 5)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args(argv)
    if args.resamples < 1 or args.rounds < 1:
        raise ConfigError(
            f"resamples {args.resamples}, rounds {args.rounds}", expected="1 or more", action="raise them"
        )
    rows = measure(args.resamples, args.rounds)
    if args.json:
        print_json([asdict(row) for row in rows])
    else:
        print("| what | resamples | seconds | times as long by the peer |")
        print("|---|---|---|---|")
        for row in rows:
            ratio = f"{row.ratio:,.0f}" if row.ratio else "–"
            print(f"| {row.what} | {row.resamples:,} | {row.seconds:.2f} | {ratio} |")
    return EXIT_OK


if __name__ == "__main__":
    raise SystemExit(run_command(main))

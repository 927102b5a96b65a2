"""Is one method better than another? Paired comparisons of runs on the same held-out fruit.

Each side is one or more runs (seeds) of one configuration. For each metric, over all defects and for each
defect, the rows are

- ``bootstrap``: the difference with the interval and verdict of ``backend.evaluation.difference``;
- ``corrected-t``: the corrected resampled t-test over folds x seeds (Nadeau & Bengio);
- ``mcnemar``: for one run a side, whether the two decide the same number of fruit rightly.

P-values are Holm-adjusted inside a family: all defects of one metric and test. So are the intervals and
verdicts of ``bootstrap``. The value over all defects is a question, and a family, of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backend.evaluation.bootstrap import Bootstrap, bootstrap
from backend.evaluation.difference import WIDEST, Difference, training_luck
from backend.evaluation.metrics import Key
from backend.evaluation.paired import PairedTest, corrected_t, holm, mcnemar
from backend.evaluation.pairing import Pair, RunPredictions
from backend.store.rows import ComparisonRow

ALPHA = 0.05
BOOTSTRAP, CORRECTED_T, MCNEMAR = TESTS = ("bootstrap", "corrected-t", "mcnemar")


def compare(
    a: Sequence[RunPredictions],
    b: Sequence[RunPredictions],
    *,
    task: str,
    healthy: str,
    kinds: dict[str, str],
    groups: dict[str, str],
    metrics: tuple[str, ...] = ("mcc",),
    resamples: int = 2000,
    seed: int = 0,
    n_train: float | None = None,
) -> list[ComparisonRow]:
    """Compare two sides, b against a.

    Args:
        a: runs of one configuration; the i-th runs of both sides pair (same seed), and the rest of a longer
            side counts in its mean only.
        b: runs of the other.
        task: ``multilabel`` or ``multiclass``.
        healthy: name of the class without defects.
        kinds: defect name to ``internal``, ``external`` or ``other``.
        groups: fruit id to group; a group lies in one fold.
        metrics: names from ``backend.evaluation.metrics``.
        resamples: of the bootstrap; raised where a large family needs finer tails.
        seed: of the bootstrap.
        n_train: training fruit of a fold, for the corrected t-test; by default the fruit of the other folds.

    Returns:
        For each metric and test of ``TESTS``: the row over all defects, then one for each defect. ``n`` is of
        fruit, for ``corrected-t`` of folds x seeds; ``effect_size`` is each test's own; only ``bootstrap``
        says ``n_needed``.

    Raises:
        DataError: the runs are not comparable, or a group lies in two folds.
    """
    pair = Pair(a, b, task=task, healthy=healthy, kinds=kinds, groups=groups, metrics=metrics)
    resamples = max(resamples, math.ceil(2 * len(pair.keys) / ALPHA))
    boot = bootstrap(pair.difference, pair.n_groups, resamples=resamples, seed=seed, width=pair.n_fruit)
    ratio = pair.n_fruit / len(pair.fold_weights) / n_train if n_train else pair.test_ratio
    rows: list[ComparisonRow] = []
    for metric in metrics:
        columns = [i for i, key in enumerate(pair.keys) if key.metric == metric]
        columns.sort(key=lambda i: pair.keys[i].defect is not None)
        rows += _bootstrap_rows(pair, boot, columns)
        if ratio is not None:
            rows += _corrected_t_rows(pair, columns, ratio)
    if len(a) == len(b) == 1:
        rows += _mcnemar_rows(pair)
    return rows


def _bootstrap_rows(pair: Pair, boot: Bootstrap, columns: list[int]) -> list[ComparisonRow]:
    errors = np.array([boot.standard_error(column) for column in columns])
    keys = [pair.keys[column] for column in columns]
    overall = np.array([key.defect is None for key in keys])
    luck = training_luck(pair.by_fold_and_seed()[..., columns], errors, overall)
    chosen = Bootstrap(boot.point[columns], boot.samples[:, columns], boot.jackknife[:, columns])
    found = [
        Difference(chosen, i, luck, pair.n_labelled(key), pair.n_groups, WIDEST.get(key.metric, 1.0))
        for i, key in enumerate(keys)
    ]
    rows = []
    for family in _families(keys):
        corrected = holm(np.array([found[i].p_value() for i in family]), ALPHA)
        for i, p_adjusted, level in zip(family, corrected.p_adjusted, corrected.level, strict=True):
            rows.append(_bootstrap_row(pair, keys[i], found[i], float(p_adjusted), float(level)))
    return rows


def _bootstrap_row(pair: Pair, key: Key, found: Difference, p_adjusted: float, level: float) -> ComparisonRow:
    interval = found.interval(level)
    needed = found.fruit_needed(level) if interval.low is not None else math.inf
    row = _row(pair, key, BOOTSTRAP, found.delta, found.p_value(), p_adjusted)
    return replace(
        row,
        ci_low=interval.low,
        ci_high=interval.high,
        n=found.n_fruit,
        verdict=found.verdict(key.metric, level),
        effect_size=found.effect_size(),
        n_needed=math.ceil(needed) if found.n_fruit < needed < math.inf else None,
    )


def _corrected_t_rows(pair: Pair, columns: list[int], ratio: float) -> list[ComparisonRow]:
    by_fold = pair.by_fold_and_seed()
    tests = [corrected_t(by_fold[..., column].ravel(), ratio) for column in columns]
    return _test_rows(pair, CORRECTED_T, [pair.keys[column] for column in columns], tests)


def _mcnemar_rows(pair: Pair) -> list[ComparisonRow]:
    defects = ([None] if pair.multiclass else []) + list(pair.a[0].defects)
    keys = [Key("accuracy", defect) for defect in defects]
    return _test_rows(pair, MCNEMAR, keys, [mcnemar(*pair.rights(key.defect)) for key in keys])


def _test_rows(
    pair: Pair, name: str, keys: list[Key], tests: Sequence[PairedTest | None]
) -> list[ComparisonRow]:
    rows = []
    for family in _families(keys):
        p_values = [math.nan if (test := tests[i]) is None else test.p_value for i in family]
        corrected = holm(np.array(p_values), ALPHA)
        for i, p_value, p_adjusted in zip(family, p_values, corrected.p_adjusted, strict=True):
            test = tests[i]
            row = _row(pair, keys[i], name, test.delta if test else math.nan, p_value, float(p_adjusted))
            if test is not None:
                row = replace(row, ci_low=test.low, ci_high=test.high, n=test.n, effect_size=test.effect_size)
            rows.append(replace(row, verdict=_test_verdict(pair, name, keys[i], test, float(p_adjusted))))
    return rows


def _test_verdict(pair: Pair, name: str, key: Key, test: PairedTest | None, p_adjusted: float) -> str:
    if test is None:
        return "no test: no two folds or seeds in which the difference is defined and not the same"
    found = "no difference" if p_adjusted > ALPHA else ("better" if test.delta > 0 else "worse")
    if name == CORRECTED_T:
        return f"{found} over {test.n} folds x seeds (adjusted p = {p_adjusted:.3f})"
    right_a, right_b = pair.rights(key.defect)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    caveat = "; takes fruit of one group for independent" if pair.n_groups < pair.n_fruit else ""
    return f"{found}: {only_b:,} fruit fixed, {only_a:,} broken (adjusted p = {p_adjusted:.3f}{caveat})"


def _families(keys: list[Key]) -> list[list[int]]:
    overall = [i for i, key in enumerate(keys) if key.defect is None]
    defects = [i for i, key in enumerate(keys) if key.defect is not None]
    return [family for family in (overall, defects) if family]


def _row(pair: Pair, key: Key, test: str, delta: float, p_value: float, p_adjusted: float) -> ComparisonRow:
    scope = "over all defects" if key.defect is None else "by defect"
    return ComparisonRow(
        run_id_a=pair.run_id_a,
        run_id_b=pair.run_id_b,
        defect=key.defect,
        metric=key.metric,
        delta=_defined(delta),
        p_value=_defined(p_value),
        p_adjusted=_defined(p_adjusted),
        test=test,
        family=f"{pair.run_id_b} against {pair.run_id_a}: {key.metric} {scope}",
        n=0,
    )


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value

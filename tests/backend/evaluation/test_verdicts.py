"""How often a verdict is wrong: sides that differ by chance alone, and planted differences."""

import numpy as np
import pytest


def is_verdict(row):
    return row.verdict.startswith(("better", "worse"))


def false_alarms(new_bench, pick, n_pairs, n_seeds, n_folds, luck, n=320, metric="mcc"):
    overall = any_defect = 0
    for trial in range(n_pairs):
        bench = new_bench(trial, n=n, n_folds=n_folds)
        a, b = ([bench.run(f"{side}{s}", luck=luck) for s in range(n_seeds)] for side in "ab")
        rows = bench.compare(a, b, resamples=200, seed=trial, metrics=(metric,))
        overall += is_verdict(pick(rows, metric=metric))
        any_defect += any(is_verdict(pick(rows, defect=name, metric=metric)) for name in new_bench.names)
    return overall, any_defect


@pytest.mark.parametrize(
    ("n_seeds", "n_folds", "luck", "metric"),
    [
        (1, 5, 0.3, "mcc"),
        (3, 3, 0.3, "mcc"),
        (1, 1, 0.3, "mcc"),
        (1, 5, 0.3, "recall"),
        (1, 5, 0.0, "mcc"),
        (1, 3, 0.3, "mcc"),
        (1, 3, 0.3, "recall"),
        (2, 5, 0.3, "mcc"),
        (2, 5, 0.3, "recall"),
        (3, 1, 0.0, "mcc"),
    ],
)
@pytest.mark.slow
def test_two_sides_of_one_configuration_are_not_distinguishable(
    new_bench, pick, n_seeds, n_folds, luck, metric
):
    """200 pairs whose sides differ by chance alone, in the fruit and in training.

    At a true rate of 5 % the count is binomial(200, 0.05): 10 expected, and 17 or more come up once in
    forty series. The rate itself is lower, so the plain limit of 10 holds.
    """
    overall, any_defect = false_alarms(new_bench, pick, 200, n_seeds, n_folds, luck, metric=metric)
    assert overall <= 10
    assert any_defect <= 10


def test_resampling_fruit_alone_would_see_differences_between_seeds(new_bench, pick):
    """Why the interval holds the luck of training: without it this series has far more than 5 % alarms."""
    alarms = 0
    for trial in range(40):
        bench = new_bench(trial, n=1000)
        rows = bench.compare([bench.run("a", luck=0.4)], [bench.run("b", luck=0.4)], resamples=200)
        row = pick(rows)
        alarms += abs(row.delta) > 1.96 * abs(row.delta / (row.effect_size * np.sqrt(1000)))
    assert alarms > 8


@pytest.mark.parametrize(("n_seeds", "luck"), [(1, 0.0), (3, 0.2)])
def test_a_planted_difference_is_found_where_it_is(new_bench, pick, n_seeds, luck):
    """One defect gains 0.35 MCC, the others nothing: found in 20 of 20 draws, and named rightly."""
    found = elsewhere = 0
    for trial in range(20):
        bench = new_bench(100 + trial, n=400)
        a = [bench.run(f"a{s}", luck=luck) for s in range(n_seeds)]
        b = [bench.run(f"b{s}", skill=(3, 6, 3), luck=luck) for s in range(n_seeds)]
        rows = bench.compare(a, b, resamples=400)
        found += pick(rows, defect="body rot").verdict.startswith("better by 0.")
        found_back = bench.compare(b, a, resamples=400)
        assert pick(found_back, defect="body rot").delta == pytest.approx(
            -pick(rows, defect="body rot").delta
        )
        assert not pick(found_back, defect="body rot").verdict.startswith("better")
        elsewhere += any(is_verdict(pick(rows, defect=name)) for name in ("stem-end rot", "wind scar"))
    assert found >= 19
    assert elsewhere <= 2


@pytest.mark.parametrize("seed", range(12))
def test_a_verdict_is_given_exactly_where_the_adjusted_interval_excludes_zero(new_bench, seed):
    bench = new_bench(seed)
    gain = 0.4 * (seed % 5)
    a, b = [bench.run("a")], [bench.run("b", skill=(3 + gain, 3 + 2 * gain, 3))]
    for row in bench.compare(a, b, metrics=("mcc", "auroc"), resamples=500):
        if row.test != "bootstrap":
            continue
        excludes = row.ci_low > 0 or row.ci_high < 0
        assert is_verdict(row) == excludes
        assert (row.p_adjusted <= 0.05) == excludes
        assert row.ci_low <= row.delta <= row.ci_high
        assert row.p_value <= row.p_adjusted

"""Comparisons: the guard, the rows, and above all how often a verdict is wrong."""

import re
from dataclasses import replace

import numpy as np
import pytest

from backend.errors import DataError
from backend.evaluation.compare import TESTS, RunMeta, RunPredictions, comparable, compare
from backend.evaluation.difference import training_luck
from backend.evaluation.metrics import summarise
from backend.store.bundle import Predictions

NAMES = ("stem-end rot", "body rot", "wind scar")
KINDS = {"stem-end rot": "internal", "body rot": "internal", "wind scar": "external"}
TASK = {"task": "multilabel", "healthy": "a-quality", "kinds": KINDS}


def meta(run_id="a", **changes):
    given = RunMeta(run_id, "data", "labels", "folds", False, frozenset())
    return replace(given, **changes)


class Bench:
    """Fruit with true labels, hard and easy ones, in folds; trains models that are as good as told."""

    def __init__(self, seed, n=320, n_folds=5, per_group=1):
        self.rng = np.random.default_rng(seed)
        self.ids = tuple(f"f{i}" for i in range(n))
        self.true = (self.rng.random((n, 3)) < [0.2, 0.3, 0.4]).astype(np.float32)
        self.hardness = self.rng.normal(size=(n, 3))
        group = np.arange(n) // per_group
        self.folds = (self.rng.permutation(group.max() + 1) % n_folds)[group]
        self.groups = {fruit: f"g{g}" for fruit, g in zip(self.ids, group, strict=True)}

    def run(self, run_id, skill=(3.0, 3.0, 3.0), luck=0.0):
        """``luck``: how much each fold's model differs in skill and threshold from another of its kind."""
        logits = np.empty(self.true.shape)
        for fold in np.unique(self.folds):
            rows = self.folds == fold
            mine = np.array(skill) + luck * self.rng.normal(size=3)
            noise = self.rng.normal(size=(rows.sum(), 3))
            shift = luck * self.rng.normal(size=3)
            logits[rows] = mine * (self.true[rows] - 0.5) + self.hardness[rows] + noise + shift
        score = (1 / (1 + np.exp(-logits))).astype(np.float32)
        predictions = Predictions(self.ids, NAMES, self.true, score, (score >= 0.5).astype(np.uint8))
        return RunPredictions(meta(run_id, test_fruit=frozenset(self.ids)), predictions, self.folds)

    def compare(self, a, b, **options):
        return compare(a, b, **TASK, groups=self.groups, **options)


def pick(rows, test="bootstrap", defect=None, metric="mcc"):
    (row,) = [r for r in rows if (r.test, r.defect, r.metric) == (test, defect, metric)]
    return row


def is_verdict(row):
    return row.verdict.startswith(("better", "worse"))


def false_alarms(n_pairs, n_seeds, n_folds, luck, n=320, metric="mcc"):
    overall = any_defect = 0
    for trial in range(n_pairs):
        bench = Bench(trial, n=n, n_folds=n_folds)
        a, b = ([bench.run(f"{side}{s}", luck=luck) for s in range(n_seeds)] for side in "ab")
        rows = bench.compare(a, b, resamples=200, seed=trial, metrics=(metric,))
        overall += is_verdict(pick(rows, metric=metric))
        any_defect += any(is_verdict(pick(rows, defect=name, metric=metric)) for name in NAMES)
    return overall, any_defect


@pytest.mark.parametrize(
    ("n_seeds", "n_folds", "luck", "metric"),
    [
        (1, 5, 0.3, "mcc"),
        (3, 3, 0.3, "mcc"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                (1, 1, 0.3, "mcc"),
                (1, 5, 0.3, "recall"),
                (1, 5, 0.0, "mcc"),
                (1, 3, 0.3, "mcc"),
                (1, 3, 0.3, "recall"),
                (2, 5, 0.3, "mcc"),
                (2, 5, 0.3, "recall"),
                (3, 1, 0.0, "mcc"),
            ]
        ),
    ],
)
def test_two_sides_of_one_configuration_are_not_distinguishable(n_seeds, n_folds, luck, metric):
    """200 pairs whose sides differ by chance alone, in the fruit and in training.

    At a true rate of 5 % the count is binomial(200, 0.05): 10 expected, and 17 or more come up once in
    forty series. The rate itself is lower, so the plain limit of 10 holds.
    """
    overall, any_defect = false_alarms(200, n_seeds, n_folds, luck, metric=metric)
    assert overall <= 10
    assert any_defect <= 10


def test_resampling_fruit_alone_would_see_differences_between_seeds():
    """Why the interval holds the luck of training: without it this series has far more than 5 % alarms."""
    alarms = 0
    for trial in range(40):
        bench = Bench(trial, n=1000)
        rows = bench.compare([bench.run("a", luck=0.4)], [bench.run("b", luck=0.4)], resamples=200)
        row = pick(rows)
        alarms += abs(row.delta) > 1.96 * abs(row.delta / (row.effect_size * np.sqrt(1000)))
    assert alarms > 8


@pytest.mark.parametrize(("n_seeds", "luck"), [(1, 0.0), (3, 0.2)])
def test_a_planted_difference_is_found_where_it_is(n_seeds, luck):
    """One defect gains 0.35 MCC, the others nothing: found in 20 of 20 draws, and named rightly."""
    found = elsewhere = 0
    for trial in range(20):
        bench = Bench(100 + trial, n=400)
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
def test_a_verdict_is_given_exactly_where_the_adjusted_interval_excludes_zero(seed):
    bench = Bench(seed)
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


def test_the_rows_and_their_numbers():
    bench = Bench(0)
    a, b = bench.run("first"), bench.run("second", skill=(4, 4, 4))
    rows = bench.compare([a], [b])
    assert {row.test for row in rows} == set(TESTS)
    assert len(rows) == 4 + 4 + 3
    assert len({(r.metric, r.defect, r.test) for r in rows}) == len(rows)
    assert len({row.family for row in rows}) == 3  # MCC overall, MCC by defect, accuracy by defect
    value = [{(v.metric, v.defect): v.value for v in summarise(r.predictions, **TASK)} for r in (a, b)]
    for row in rows:
        assert (row.run_id_a, row.run_id_b) == ("first", "second")
        if row.test != "corrected-t":
            expected = value[1][row.metric, row.defect] - value[0][row.metric, row.defect]
            assert row.delta == pytest.approx(expected)
            assert row.n == 320
    assert pick(rows, "corrected-t").n == 5
    assert "fixed" in pick(rows, "mcnemar", "body rot", "accuracy").verdict


def test_several_runs_a_side_are_averaged_and_need_no_mcnemar():
    bench = Bench(0)
    a, b = [bench.run(f"a{i}") for i in range(3)], [bench.run(f"b{i}") for i in range(2)]
    rows = bench.compare(a, b)
    means = [
        np.mean(
            [
                {(v.metric, v.defect): v.value for v in summarise(r.predictions, **TASK)}["mcc", None]
                for r in side
            ]
        )
        for side in (a, b)
    ]
    assert pick(rows).delta == pytest.approx(means[1] - means[0])
    assert pick(rows, "corrected-t").n == 10
    assert not [row for row in rows if row.test == "mcnemar"]


def test_the_order_of_the_fruit_changes_nothing():
    bench = Bench(0)
    a, b = bench.run("a"), bench.run("b")
    mixed = np.random.default_rng(1).permutation(320)
    p = b.predictions
    shuffled = RunPredictions(
        b.meta,
        Predictions(
            tuple(p.fruit_ids[i] for i in mixed), p.defects, p.y_true[mixed], p.score[mixed], p.y_pred[mixed]
        ),
        b.folds[mixed],
    )
    assert bench.compare([a], [b]) == bench.compare([a], [shuffled])


def test_a_run_against_itself_shows_no_difference():
    bench = Bench(0)
    a = bench.run("a")
    row = pick(bench.compare([a], [a]))
    assert row.delta == 0
    assert row.verdict == "not distinguishable with these 320 fruit; no difference was seen"
    assert row.n_needed is None


def test_the_verdict_asks_for_the_fruit_that_are_missing():
    bench = Bench(3, n=200)
    row = pick(bench.compare([bench.run("a")], [bench.run("b", skill=(3.5, 3.5, 3.5))]))
    sentence = re.fullmatch(
        r"not distinguishable with these 200 fruit; about ([\d,]+) more labelled fruit would settle it",
        row.verdict,
    )
    asked = int(sentence[1].replace(",", ""))
    # Two digits are enough; rounded up, so that the number is never too small.
    assert row.n_needed - 200 <= asked <= 1.1 * (row.n_needed - 200) + 1


def test_one_training_a_side_in_one_fold_says_that_luck_is_assumed():
    bench = Bench(0, n_folds=1)
    rows = bench.compare([bench.run("a")], [bench.run("b", skill=(9, 9, 9))])
    assert re.fullmatch(r"better by .*; one training each, so its luck is assumed", pick(rows).verdict)
    small = pick(bench.compare([bench.run("a")], [bench.run("b", skill=(4, 4, 4))]))
    assert small.verdict.endswith("320 fruit; one training each: more seeds would settle it")
    assert not [row for row in rows if row.test == "corrected-t"]
    several = bench.compare(
        [bench.run("a"), bench.run("a2")], [bench.run("b"), bench.run("b2")], n_train=1280.0
    )
    assert pick(several, "corrected-t").n == 2


def test_an_undefined_defect_has_no_verdict():
    bench = Bench(0)
    bench.true[:, 0] = 0
    row = pick(bench.compare([bench.run("a")], [bench.run("b")]), defect="stem-end rot")
    assert row.delta is None
    assert row.ci_low is None
    assert row.p_value is None
    assert row.verdict == "no verdict: undefined on these fruit"


def test_groups_widen_the_interval():
    """Fruit of one pallet that err together count as one."""
    bench = Bench(0, n=600, per_group=20)
    bench.hardness[:] = np.repeat(np.random.default_rng(5).normal(size=(30, 3)), 20, axis=0)
    a, b = bench.run("a"), bench.run("b", skill=(3.5, 3.5, 3.5))
    grouped = pick(bench.compare([a], [b]))
    alone = pick(compare([a], [b], **TASK, groups={fruit: fruit for fruit in bench.ids}))
    assert grouped.delta == alone.delta
    assert grouped.ci_high - grouped.ci_low != pytest.approx(alone.ci_high - alone.ci_low)
    caveat = "takes fruit of one group for independent"
    assert caveat in pick(bench.compare([a], [b]), "mcnemar", "body rot", "accuracy").verdict


def test_the_guard_names_every_reason():
    a = meta("a", test_fruit=frozenset("xyz"))
    assert comparable(a, replace(a, run_id="b")) == []
    other = RunMeta("b", "other", "other", "other", True, frozenset("xyq"))
    assert comparable(a, other) == [
        "different data (fingerprints differ)",
        "different label versions",
        "different outer folds",
        "different test fruit (2 are in one run only)",
        "b is transductive (pretraining saw test fruit)",
    ]
    assert comparable(other, other) == ["b is transductive (pretraining saw test fruit)"]


def test_runs_that_are_not_comparable_are_refused_in_one_line():
    bench = Bench(0)
    a, b = bench.run("a"), bench.run("b")
    stale = replace(b, meta=replace(b.meta, label_version="older"))
    with pytest.raises(DataError, match="comparing a with b: different label versions; expected") as error:
        bench.compare([a], [stale])
    assert "\n" not in str(error.value)


def test_a_group_in_two_folds_is_refused():
    bench = Bench(0)
    bench.groups = dict.fromkeys(bench.ids, "pallet 7")
    with pytest.raises(DataError, match="group 'pallet 7' lies in 5 folds"):
        bench.compare([bench.run("a")], [bench.run("b")])


def test_multiclass_sides(multiclass, sorter):
    p, q = multiclass(n=400, seed=0, skill=1.0), multiclass(n=400, seed=0, skill=3.0)
    folds = np.arange(400) % 4
    runs = [
        RunPredictions(meta(name, test_fruit=frozenset(p.fruit_ids)), x, folds)
        for name, x in (("a", p), ("b", q))
    ]
    groups = {fruit: fruit for fruit in p.fruit_ids}
    rows = compare(
        [runs[0]], [runs[1]], **sorter("multiclass"), groups=groups, metrics=("mcc", "top3_accuracy")
    )
    assert pick(rows).verdict.startswith("better by 0.")
    assert "MCC" in pick(rows).verdict
    assert pick(rows, "mcnemar", None, "accuracy").verdict.startswith("better")
    assert pick(rows, metric="top3_accuracy").delta > 0


def test_training_luck_is_measured_inside_folds_where_there_are_seeds():
    rng = np.random.default_rng(0)
    folds = rng.normal(0, 5, size=(4, 1, 1))  # hard and easy folds: the same for every seed
    differences = folds + rng.normal(0, 0.1, size=(4, 500, 1))
    luck = training_luck(differences, np.array([0.2]))
    assert luck.variance[0] == pytest.approx(0.01 / (4 * 500), rel=0.1)
    assert luck.degrees == 4 * 499


def test_training_luck_of_one_seed_is_pooled_over_metrics():
    differences = np.array([[[0.1, 0.0, np.nan]], [[-0.1, 0.0, 0.5]]])
    luck = training_luck(differences, np.array([0.1, 0.1, 0.2]))
    # Fold variances of the mean: 0.01 and 0; ratios to the fruit's 0.01: 1 and 0, in the mean 0.5.
    np.testing.assert_allclose(luck.variance, [0.01, 0.005, 0.5 * 0.04])
    single = training_luck(np.zeros((1, 1, 2)), np.array([0.1, np.nan]))
    assert single.assumed
    np.testing.assert_allclose(single.variance, [0.09, 0])

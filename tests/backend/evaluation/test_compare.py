"""Comparisons: the guard, the rows and their words."""

import re
from dataclasses import replace

import numpy as np
import pytest

from backend.errors import DataError
from backend.evaluation.bootstrap import bootstrap
from backend.evaluation.compare import TESTS, compare
from backend.evaluation.metrics import summarise
from backend.evaluation.pairing import RunMeta, RunPredictions, comparable
from backend.store.bundle import Predictions


def test_the_rows_and_their_numbers(new_bench, pick):
    bench = new_bench(0)
    a, b = bench.run("first"), bench.run("second", skill=(4, 4, 4))
    rows = bench.compare([a], [b])
    assert {row.test for row in rows} == set(TESTS)
    assert len(rows) == 4 + 4 + 3
    assert len({(r.metric, r.defect, r.test) for r in rows}) == len(rows)
    assert {(row.family, row.defect is None) for row in rows} == {
        ("second against first: mcc over all defects", True),
        ("second against first: mcc by defect", False),
        ("second against first: accuracy by defect", False),
    }
    value = [
        {(v.metric, v.defect): v.value for v in summarise(r.predictions, **new_bench.task)} for r in (a, b)
    ]
    for row in rows:
        assert (row.run_id_a, row.run_id_b) == ("first", "second")
        if row.test != "corrected-t":
            expected = value[1][row.metric, row.defect] - value[0][row.metric, row.defect]
            assert row.delta == pytest.approx(expected)
            assert row.n == 320
    assert pick(rows, "corrected-t").n == 5
    assert "fixed" in pick(rows, "mcnemar", "body rot", "accuracy").verdict


def test_several_runs_a_side_are_averaged_and_need_no_mcnemar(new_bench, pick):
    bench = new_bench(0)
    a, b = [bench.run(f"a{i}") for i in range(3)], [bench.run(f"b{i}") for i in range(2)]
    rows = bench.compare(a, b)
    means = [
        np.mean(
            [
                {(v.metric, v.defect): v.value for v in summarise(r.predictions, **new_bench.task)}[
                    "mcc", None
                ]
                for r in side
            ]
        )
        for side in (a, b)
    ]
    assert pick(rows).delta == pytest.approx(means[1] - means[0])
    assert pick(rows, "corrected-t").n == 10
    assert not [row for row in rows if row.test == "mcnemar"]


def test_the_order_of_the_fruit_changes_nothing(new_bench):
    bench = new_bench(0)
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


def test_a_run_against_itself_shows_no_difference(new_bench, pick):
    bench = new_bench(0)
    a = bench.run("a")
    row = pick(bench.compare([a], [a]))
    assert row.delta == 0
    assert row.verdict == "not distinguishable with these 320 fruit; no difference was seen"
    assert row.n_needed is None


def test_the_verdict_asks_for_the_fruit_that_are_missing(new_bench, pick):
    bench = new_bench(3, n=200)
    row = pick(bench.compare([bench.run("a")], [bench.run("b", skill=(3.5, 3.5, 3.5))]))
    sentence = re.fullmatch(
        r"not distinguishable with these 200 fruit; about ([\d,]+) more labelled fruit would settle it",
        row.verdict,
    )
    asked = int(sentence[1].replace(",", ""))
    # Two digits are enough; rounded up, so that the number is never too small.
    assert row.n_needed - 200 <= asked <= 1.1 * (row.n_needed - 200) + 1


def test_one_training_a_side_in_one_fold_says_that_luck_is_assumed(new_bench, pick):
    bench = new_bench(0, n_folds=1)
    rows = bench.compare([bench.run("a")], [bench.run("b", skill=(9, 9, 9))])
    assert re.fullmatch(r"better by .*; one training each, so its luck is assumed", pick(rows).verdict)
    small = pick(bench.compare([bench.run("a")], [bench.run("b", skill=(4, 4, 4))]))
    assert small.verdict.endswith("320 fruit; one training each: more seeds would settle it")
    assert not [row for row in rows if row.test == "corrected-t"]
    several = bench.compare(
        [bench.run("a"), bench.run("a2")], [bench.run("b"), bench.run("b2")], n_train=1280.0
    )
    assert pick(several, "corrected-t").n == 2


def test_fruit_of_one_group_give_no_verdict(new_bench, pick):
    """A test part of one pallet: every resample is the same, which must not look like certainty."""
    bench = new_bench(0, n_folds=1, per_group=320)
    row = pick(bench.compare([bench.run("a")], [bench.run("b", skill=(9, 9, 9))]))
    assert row.delta > 0
    assert (row.ci_low, row.ci_high, row.p_value, row.n_needed) == (None, None, None, None)
    assert row.verdict.startswith("no verdict: every fruit is of one group")


def test_a_defect_of_one_group_gives_no_verdict(new_bench, pick):
    """One pallet has it: six of its ten fruit found instead of five say nothing about the next pallet."""
    bench = new_bench(0, per_group=10)
    bench.true[:, 0] = np.arange(320) < 10
    runs = [bench.run(name) for name in ("a", "b")]
    for run, found in zip(runs, (5, 6), strict=True):
        run.predictions.y_pred[:10, 0] = np.arange(10) < found
        run.predictions.y_pred[10:, 0] = 0
    rows = bench.compare([runs[0]], [runs[1]], metrics=("mcc", "recall"))
    for metric in ("mcc", "recall"):
        row = pick(rows, defect="stem-end rot", metric=metric)
        assert row.delta > 0
        assert row.verdict.startswith("no verdict: undefined in ")


def test_an_undefined_defect_has_no_verdict(new_bench, pick):
    bench = new_bench(0)
    bench.true[:, 0] = 0
    row = pick(bench.compare([bench.run("a")], [bench.run("b")]), defect="stem-end rot")
    assert row.delta is None
    assert row.ci_low is None
    assert row.p_value is None
    assert row.verdict == "no verdict: undefined on these fruit"


def test_groups_widen_the_interval(new_bench, pick):
    """Fruit of one pallet that err together count as one."""
    bench = new_bench(0, n=600, per_group=20)
    bench.hardness[:] = np.repeat(np.random.default_rng(5).normal(size=(30, 3)), 20, axis=0)
    a, b = bench.run("a"), bench.run("b", skill=(3.5, 3.5, 3.5))
    grouped = pick(bench.compare([a], [b]))
    alone = pick(compare([a], [b], **new_bench.task, groups={fruit: fruit for fruit in bench.ids}))
    assert grouped.delta == alone.delta
    assert grouped.ci_high - grouped.ci_low != pytest.approx(alone.ci_high - alone.ci_low)
    caveat = "takes fruit of one group for independent"
    assert caveat in pick(bench.compare([a], [b]), "mcnemar", "body rot", "accuracy").verdict


def test_the_guard_names_every_reason():
    a = RunMeta("a", "data", "labels", "folds", False, frozenset("xyz"))
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


def test_runs_that_are_not_comparable_are_refused_in_one_line(new_bench):
    bench = new_bench(0)
    a, b = bench.run("a"), bench.run("b")
    stale = replace(b, meta=replace(b.meta, label_version="older"))
    with pytest.raises(DataError, match="comparing a with b: different label versions; expected") as error:
        bench.compare([a], [stale])
    assert "\n" not in str(error.value)


def test_a_group_in_two_folds_is_refused(new_bench):
    bench = new_bench(0)
    bench.groups = dict.fromkeys(bench.ids, "pallet 7")
    with pytest.raises(DataError, match="group 'pallet 7' lies in 5 folds"):
        bench.compare([bench.run("a")], [bench.run("b")])


def test_multiclass_sides(pick, multiclass, sorter):
    p, q = multiclass(n=400, seed=0, skill=1.0), multiclass(n=400, seed=0, skill=3.0)
    folds = np.arange(400) % 4
    runs = [
        RunPredictions(RunMeta(name, "data", "labels", "folds", False, frozenset(p.fruit_ids)), x, folds)
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


def test_mcnemar_says_what_was_fixed_and_broken_and_for_whom_it_is_better(new_bench, pick):
    bench = new_bench(0)
    a, b = bench.run("a"), bench.run("b", skill=(3, 9, 3))
    right = [(run.predictions.y_true == run.predictions.y_pred)[:, 1] for run in (a, b)]
    fixed, broken = int((~right[0] & right[1]).sum()), int((right[0] & ~right[1]).sum())
    assert fixed > broken > 0
    better = pick(bench.compare([a], [b]), "mcnemar", "body rot", "accuracy").verdict
    worse = pick(bench.compare([b], [a]), "mcnemar", "body rot", "accuracy").verdict
    assert better.startswith(f"better: {fixed} fruit fixed, {broken} broken (")
    assert worse.startswith(f"worse: {broken} fruit fixed, {fixed} broken (")


def test_the_row_over_all_defects_comes_first(new_bench):
    bench = new_bench(0)
    rows = bench.compare([bench.run("a")], [bench.run("b")], metrics=("mcc", "recall"))
    for test in ("bootstrap", "corrected-t"):
        for metric in ("mcc", "recall"):
            found = [row.defect for row in rows if (row.test, row.metric) == (test, metric)]
            assert found == [None, *bench.names]


def test_a_large_family_gets_the_resamples_its_tails_need(new_bench, monkeypatch):
    """Two of them lie beyond the level that is left for each metric of the family."""
    asked = []

    def counted(statistic, n_groups, *, resamples, **options):
        asked.append(resamples)
        return bootstrap(statistic, n_groups, resamples=resamples, **options)

    monkeypatch.setattr("backend.evaluation.compare.bootstrap", counted)
    bench = new_bench(0, n=60)
    a, b = [bench.run("a")], [bench.run("b")]
    bench.compare(a, b, resamples=10)
    bench.compare(a, b, resamples=500)
    assert asked == [2 * 4 / 0.05, 500]


def test_a_test_without_data_has_no_fruit(new_bench, pick):
    bench = new_bench(0)
    bench.true[:, 0] = 0
    row = pick(bench.compare([bench.run("a")], [bench.run("b")]), "corrected-t", "stem-end rot")
    assert (row.n, row.p_value, row.ci_low) == (0, None, None)
    assert row.verdict.startswith("no test: no two folds or seeds")


def test_a_larger_training_part_narrows_the_corrected_test(new_bench, pick):
    bench = new_bench(0)  # 320 fruit in 5 folds: 256 of them train
    a, b = [bench.run("a")], [bench.run("b", skill=(4, 4, 4))]
    own, told, larger = (
        pick(bench.compare(a, b, resamples=200, **more), "corrected-t")
        for more in ({}, {"n_train": 256}, {"n_train": 2560})
    )
    assert told == own
    assert larger.delta == own.delta
    assert larger.ci_high - larger.ci_low < own.ci_high - own.ci_low
    assert larger.p_value < own.p_value

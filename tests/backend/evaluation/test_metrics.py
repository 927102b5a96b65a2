"""Every metric agrees with scikit-learn; what is undefined says so and is never 0."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from backend.errors import TrainingError
from backend.evaluation.counts import COUNT_METRICS, POSITIVE
from backend.evaluation.metrics import DEFECT_METRICS, DESCRIPTIONS, RANKED, Scorecard, summarise
from backend.store.bundle import Predictions

ORACLES = {
    "mcc": lambda t, s, p: sk.matthews_corrcoef(t, p),
    "accuracy": lambda t, s, p: sk.accuracy_score(t, p),
    "balanced_accuracy": lambda t, s, p: sk.balanced_accuracy_score(t, p),
    "f1": lambda t, s, p: sk.f1_score(t, p),
    "precision": lambda t, s, p: sk.precision_score(t, p),
    "recall": lambda t, s, p: sk.recall_score(t, p),
    "auroc": lambda t, s, p: sk.roc_auc_score(t, s),
    "average_precision": lambda t, s, p: sk.average_precision_score(t, s),
}


def table(values):
    return {(v.metric, v.defect): v for v in values}


@pytest.mark.parametrize("metric", DEFECT_METRICS)
@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
@pytest.mark.parametrize("seed", range(3))
def test_each_defect_agrees_with_scikit_learn(task, metric, seed, request, sorter):
    p = request.getfixturevalue(task)(seed=seed)
    values = table(summarise(p, **sorter(task)))
    for j, defect in enumerate(p.defects):
        known = ~np.isnan(p.y_true[:, j])
        expected = ORACLES[metric](p.y_true[known, j], p.score[known, j], p.y_pred[known, j])
        assert values[metric, defect].value == pytest.approx(expected, abs=1e-6)


def test_the_oracles_cover_every_metric_per_defect():
    assert set(ORACLES) == set(DEFECT_METRICS)


@pytest.mark.parametrize("seed", range(3))
def test_multiclass_over_all_agrees_with_scikit_learn(seed, multiclass, sorter):
    p = multiclass(seed=seed)
    values = table(summarise(p, **sorter("multiclass")))
    true, called = p.y_true.argmax(axis=1), p.y_pred.argmax(axis=1)
    score = p.score.astype(float) / p.score.sum(axis=1, keepdims=True, dtype=float)
    exit_of = np.array([0, 1, 1, 2])
    expected = {
        "mcc": sk.matthews_corrcoef(true, called),
        "accuracy": sk.accuracy_score(true, called),
        "balanced_accuracy": sk.balanced_accuracy_score(true, called),
        "f1": sk.f1_score(true, called, average="macro"),
        "precision": sk.precision_score(true, called, average="macro"),
        "recall": sk.recall_score(true, called, average="macro"),
        "auroc": sk.roc_auc_score(true, score, multi_class="ovr", average="macro"),
        "average_precision": sk.average_precision_score(p.y_true, p.score, average="macro"),
        "top3_accuracy": sk.top_k_accuracy_score(true, p.score, k=3),
        "sorting_mcc": sk.matthews_corrcoef(exit_of[true], exit_of[called]),
    }
    assert {m for m, defect in values if defect is None} >= set(expected)
    for metric, value in expected.items():
        assert values[metric, None].value == pytest.approx(value, abs=1e-6), metric
        assert values[metric, None].reason == ""


def test_top_k_breaks_ties_as_scikit_learn(multiclass, sorter):
    p = multiclass(n=200, n_classes=6)
    coarse = Predictions(p.fruit_ids, p.defects, p.y_true, np.round(p.score, 1), p.y_pred)
    sort = {"task": "multiclass", "healthy": "c0", "kinds": dict.fromkeys(p.defects, "other")}
    for k in (2, 3):
        value = table(summarise(coarse, **sort, k=k))[f"top{k}_accuracy", None].value
        assert value == pytest.approx(sk.top_k_accuracy_score(p.y_true.argmax(axis=1), coarse.score, k=k))


def test_multilabel_over_all_is_the_mean_over_defects(multilabel, sorter):
    p = multilabel()
    values = table(summarise(p, **sorter("multilabel")))
    for metric in (
        "mcc",
        "accuracy",
        "balanced_accuracy",
        "f1",
        "precision",
        "recall",
        "auroc",
        "average_precision",
    ):
        mean = np.mean([values[metric, defect].value for defect in p.defects])
        assert values[metric, None].value == pytest.approx(mean)
    assert ("top3_accuracy", None) not in values


def test_multilabel_sorting_reads_the_exits(multilabel, sorter):
    p = multilabel(unlabelled=0.0)
    internal, external = p.y_true[:, :2].any(axis=1), p.y_true[:, 2:].any(axis=1)
    called_in, called_ex = p.y_pred[:, :2].any(axis=1), p.y_pred[:, 2:].any(axis=1)
    expected = sk.matthews_corrcoef(
        np.where(internal, 2, external.astype(int)), np.where(called_in, 2, called_ex.astype(int))
    )
    assert table(summarise(p, **sorter("multilabel")))["sorting_mcc", None].value == pytest.approx(expected)


def test_without_a_positive_the_value_is_none_and_the_mean_names_the_defect(multilabel, sorter):
    p = multilabel(unlabelled=0.0)
    p.y_true[:, 3] = 0
    values = table(summarise(p, **sorter("multilabel")))
    for metric in (m for m in DEFECT_METRICS if m in RANKED or POSITIVE in COUNT_METRICS[m].needs):
        assert values[metric, "odd"].value is None
        assert values[metric, "odd"].reason == "no fruit has it"
    overall = values["mcc", None]
    assert overall.value == pytest.approx(np.mean([values["mcc", d].value for d in p.defects[:3]]))
    assert overall.reason == "undefined for odd (no fruit has it)"
    assert values["accuracy", None].reason == ""


def test_without_a_negative_or_a_label_or_a_call(multilabel, sorter):
    p = multilabel(unlabelled=0.0)
    p.y_true[:, 0], p.y_true[:, 1], p.y_pred[:, 2] = 1, np.nan, 0
    values = table(summarise(p, **sorter("multilabel")))
    assert values["auroc", "stem-end rot"].reason == "every fruit has it"
    assert values["recall", "stem-end rot"].value == p.y_pred[:, 0].mean()
    assert values["accuracy", "body rot"].value is None
    assert values["accuracy", "body rot"].reason == "no labelled fruit"
    assert values["precision", "wind scar"].reason == "no fruit was called positive"
    assert values["mcc", "wind scar"].value == 0  # it could have called some: as good as chance


def test_one_class_only(multiclass, sorter):
    p = multiclass()
    p.y_true[:] = [1, 0, 0, 0]
    values = table(summarise(p, **sorter("multiclass")))
    assert values["mcc", None].value is None
    assert values["mcc", None].reason == "every fruit has the same class"
    assert values["sorting_mcc", None].reason == "every fruit has the same true exit"
    assert values["accuracy", None].value == pytest.approx(p.y_pred[:, 0].mean())


def test_top_three_of_three_classes_says_nothing(multiclass, sorter):
    value = table(summarise(multiclass(n_classes=3), **sorter("multiclass")))["top3_accuracy", None]
    assert value.value is None
    assert value.reason == "there are only 3 classes"


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_no_fruit_at_all(task, request, sorter):
    p = request.getfixturevalue(task)()
    empty = Predictions((), p.defects, p.y_true[:0], p.score[:0], p.y_pred[:0])
    values = summarise(empty, **sorter(task), groups=np.zeros(0, dtype=int))
    assert values
    assert all(v.value is None and v.reason for v in values)


def test_unlabelled_fruit_change_nothing(multiclass, sorter):
    p = multiclass()
    more = multiclass(n=40, seed=9)
    more.y_true[:] = np.nan
    pooled = Predictions.concatenate([p, more])
    assert summarise(pooled, **sorter("multiclass")) == summarise(p, **sorter("multiclass"))


def test_scores_that_are_not_finite_are_refused(multilabel, sorter):
    p = multilabel()
    p.score[3, 1] = np.nan
    with pytest.raises(TrainingError, match="1 of 1200 scores are not finite"):
        summarise(p, **sorter("multilabel"))


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_intervals_hold_the_value_and_repeat(task, request, sorter):
    p = request.getfixturevalue(task)()
    groups = np.array([f"pallet{i % 60}" for i in range(len(p.fruit_ids))])
    values = summarise(p, **sorter(task), groups=groups, resamples=400)
    assert values == summarise(p, **sorter(task), groups=groups, resamples=400)
    for v in values:
        assert v.ci_low < v.value < v.ci_high, v
    plain = summarise(p, **sorter(task))
    assert [v.value for v in plain] == pytest.approx([v.value for v in values], abs=1e-12)
    assert all(v.ci_low is None and v.ci_high is None for v in plain)


def test_a_defect_of_one_pallet_has_no_interval_and_says_so(multilabel, sorter):
    p = multilabel(unlabelled=0.0)
    groups = np.arange(300) // 10
    p.y_true[:, 3] = groups == 0
    value = table(summarise(p, **sorter("multilabel"), groups=groups, resamples=200))["recall", "odd"]
    assert (value.ci_low, value.ci_high) == (None, None)
    assert value.reason.startswith("undefined in ")


def test_a_perfect_model_has_a_point_for_an_interval_and_a_warning(multiclass, sorter):
    p = multiclass(n=60)
    perfect = Predictions(p.fruit_ids, p.defects, p.y_true, p.y_true, p.y_true.astype(np.uint8))
    value = table(summarise(perfect, **sorter("multiclass"), groups=np.arange(60)))["mcc", None]
    assert (value.value, value.ci_low, value.ci_high) == (1, 1, 1)
    assert "too few fruit or errors" in value.reason


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_predictions_agree_with_scikit_learn_or_are_none(data):
    n = data.draw(st.integers(1, 30))
    seed = data.draw(st.integers(0, 2**31))
    levels = data.draw(st.integers(1, 12))
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 2, n).astype(np.float32)
    score = (rng.integers(0, levels + 1, n) / levels).astype(np.float32)
    called = (score >= rng.random()).astype(np.uint8)
    p = Predictions(tuple(map(str, range(n))), ("d",), true[:, None], score[:, None], called[:, None])
    for v in summarise(p, task="multilabel", healthy="a-quality", kinds={"d": "internal"}):
        if v.defect is None:
            continue
        if v.value is None:
            lacking = set(true) != {0, 1} or (v.metric == "precision" and not called.any())
            assert lacking, v
            assert v.reason, v
        elif set(true) == {0, 1}:
            assert v.value == pytest.approx(ORACLES[v.metric](true, score, called), abs=1e-6), v


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_weights_are_fruit_counted_again(task, request, sorter):
    """Weighing a group is repeating its fruit; groups that nobody is in change nothing."""
    p = request.getfixturevalue(task)(n=60)
    group = np.arange(60) % 7
    card = Scorecard(p, **sorter(task), group=group, n_groups=9)
    weights = np.array([[1, 0, 2, 3, 1, 1, 1, 5, 0], [1, 1, 1, 1, 1, 1, 1, 0, 0]], dtype=float)
    for row, values in zip(weights, card(weights), strict=True):
        again = np.repeat(np.arange(60), row[group].astype(int))
        copy = Predictions(
            tuple(map(str, again)), p.defects, p.y_true[again], p.score[again], p.y_pred[again]
        )
        expected = [v.value for v in summarise(copy, **sorter(task))]
        assert [None if np.isnan(v) else pytest.approx(v, abs=1e-9) for v in values] == expected


def test_without_any_label_every_reason_says_so(multilabel, sorter):
    p = multilabel()
    p.y_true[:] = np.nan
    values = table(summarise(p, **sorter("multilabel")))
    assert {v.reason for v in values.values() if v.defect} == {"no labelled fruit"}
    assert values["sorting_mcc", None].reason == "no labelled fruit"
    assert values["mcc", None].reason == "no labelled fruit"


def test_every_metric_has_a_description(multiclass, sorter):
    assert {v.metric for v in summarise(multiclass(), **sorter("multiclass"))} <= set(DESCRIPTIONS)

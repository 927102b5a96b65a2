"""The metrics the doctor computes on its own, against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as sklearn

from backend.store.bundle import Predictions
from backend.store.recompute import recompute


@pytest.mark.parametrize("seed", range(5))
def test_recomputed_metrics_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    n, names = 200, ("a", "b", "c")
    truth = (rng.random((n, 3)) < 0.3).astype(np.float32)
    truth[rng.random((n, 3)) < 0.1] = np.nan
    score = np.round(rng.random((n, 3)), 1 + seed % 3).astype(np.float32)  # ties
    called = (score > 0.6).astype(np.uint8)
    values = recompute(Predictions(tuple(map(str, range(n))), names, truth, score, called), "multilabel")
    for column, name in enumerate(names):
        known = ~np.isnan(truth[:, column])
        t, p, s = truth[known, column], called[known, column], score[known, column]
        for metric, right in {
            "mcc": sklearn.matthews_corrcoef(t, p),
            "accuracy": sklearn.accuracy_score(t, p),
            "balanced_accuracy": sklearn.balanced_accuracy_score(t, p),
            "f1": sklearn.f1_score(t, p),
            "precision": sklearn.precision_score(t, p),
            "recall": sklearn.recall_score(t, p),
            "auroc": sklearn.roc_auc_score(t, s),
            "average_precision": sklearn.average_precision_score(t, s),
        }.items():
            assert values[metric, name] == pytest.approx(right, abs=1e-9), (metric, name)
    for metric in ("mcc", "auroc"):
        assert values[metric, None] == pytest.approx(np.mean([values[metric, name] for name in names]))


def test_recomputed_multiclass_metrics_are_those_of_scikit_learn():
    rng = np.random.default_rng(3)
    truth, called = rng.integers(0, 4, 150), rng.integers(0, 4, 150)
    called[:80] = truth[:80]
    eye = np.eye(4)
    values = recompute(
        Predictions(
            tuple(map(str, range(150))),
            tuple("abcd"),
            eye[truth].astype(np.float32),
            rng.random((150, 4), dtype=np.float32),
            eye[called].astype(np.uint8),
        ),
        "multiclass",
    )
    assert values["mcc", None] == pytest.approx(sklearn.matthews_corrcoef(truth, called))
    assert values["accuracy", None] == pytest.approx(sklearn.accuracy_score(truth, called))
    assert values["balanced_accuracy", None] == pytest.approx(sklearn.balanced_accuracy_score(truth, called))


def test_what_is_undefined_has_no_value():
    def one(truth, called):
        shape = (len(truth), 1)
        return recompute(
            Predictions(
                tuple(map(str, range(len(truth)))),
                ("a",),
                np.array(truth, np.float32).reshape(shape),
                np.linspace(0, 1, len(truth), dtype=np.float32).reshape(shape),
                np.array(called, np.uint8).reshape(shape),
            ),
            "multilabel",
        )

    nobody = one([np.nan, np.nan], [0, 1])
    assert nobody == {}
    healthy = one([0, 0, np.nan], [0, 1, 1])
    assert set(healthy) == {("accuracy", "a"), ("accuracy", None)}
    passed = one([0, 1, 1], [0, 0, 0])
    assert passed["mcc", "a"] == 0
    assert ("precision", "a") not in passed
    assert recompute(Predictions((), (), *(np.zeros((0, 0), t) for t in "ffB")), "multiclass") == {}

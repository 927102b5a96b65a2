"""One-class detection: colours, the choice without anomalous fruit, the published figures, real fruit."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score

from backend.benchmark import colour
from backend.benchmark.networks import CH_RAND
from backend.benchmark.oneclass_scores import Areas, area_metrics, areas
from backend.benchmark.riseholme import PUBLISHED, read_cases, standardised
from backend.data.importers import import_dataset
from backend.data.manifest import read_dataset
from backend.models.backbones import create_backbone

REAL = Path(os.environ.get("AVOCADO_REAL_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))


def test_colour_finds_spots_on_drawn_fruit(benchmark_json, strawberries):
    found = benchmark_json("riseholme", "--root", strawberries)
    rows = {(row["score"], row["k"]): row["normal: ripe"] for row in found["tables"][0]["rows"]}
    assert rows["CH-Rand, published", "5"] == 0.922
    assert rows["joint colour histogram, middle of the crop", "5"]["value"] > 0.95
    low, high = (rows["naive: HSV histogram, 16 bins a channel", "1"][end] for end in ("ci_low", "ci_high"))
    assert 0 <= low <= high <= 1
    assert len(found["tables"]) == 2


def test_cases_are_the_lists_of_the_split(strawberries, tmp_path):
    import_dataset("riseholme", str(strawberries), tmp_path / "data", progress=False)
    dataset = read_dataset(tmp_path / "data")
    cases = {case.name: case for case in read_cases(dataset, 1)}
    assert {name: len(case.train) for name, case in cases.items()} == {"R": 14, "U": 14, "RU": 28, "RUO": 42}
    labels = dataset.labels.argmax(axis=1)
    for case in cases.values():
        anomalous = labels[case.test] == dataset.defect_names.index("anomalous")
        np.testing.assert_array_equal(anomalous, case.strange)
        assert case.strange.sum() == 24
        parts = [set(case.train), set(case.validation), set(case.test)]
        assert sum(map(len, parts)) == len(set.union(*parts))


def test_histograms_count_shares():
    red = np.full((2, 8, 8, 3), (255, 0, 0), np.uint8)
    red[1, :, :4] = (0, 0, 255)
    whole = colour.joint_histogram(colour.to_hsv(red))
    np.testing.assert_allclose((whole**2).sum(axis=1), 1, rtol=1e-6)
    assert sorted(whole[1][whole[1] > 0] ** 2) == pytest.approx([0.5, 0.5])
    naive = colour.hsv_histogram(red)
    assert naive.shape == (2, 48)
    np.testing.assert_allclose(naive.reshape(2, 3, 16).sum(axis=2), 1, rtol=1e-6)


def test_the_middle_leaves_the_edge_out():
    images = np.zeros((1, 8, 8, 3), np.uint8)
    images[:, 2:6, 2:6] = (0, 255, 0)
    middle = colour.joint_histogram(colour.to_hsv(images), window=0.5)
    assert (middle > 0).sum() == 1
    assert (colour.joint_histogram(colour.to_hsv(images)) > 0).sum() == 2


def test_a_paste_changes_a_rectangle_only_and_the_choice_repeats():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 32, 32, 3)).astype(np.uint8)
    pasted = colour.cut_paste(images, np.random.default_rng(1))
    changed = (pasted != images).any(axis=(1, 2, 3))
    share = (pasted != images).any(axis=3).mean(axis=(1, 2))
    assert changed.all()
    assert share.max() <= 0.09
    once, again = (colour.choose_window(images[:8], images[8:], k=3, seed=5) for _ in range(2))
    assert once == again
    assert once[0] in colour.WINDOWS


def test_areas_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    strange = rng.random(80) < 0.3
    score = np.round(rng.normal(0, 1, 80) + strange, 1)  # with ties
    precision, recall, _ = precision_recall_curve(strange, score)
    assert areas(strange, score) == pytest.approx((roc_auc_score(strange, score), auc(recall, precision)))
    rows = rng.integers(80, size=80)
    precision, recall, _ = precision_recall_curve(strange[rows], score[rows])
    resampled = Areas(strange, score)(np.bincount(rows, minlength=80)[None].astype(float))[0]
    assert resampled[0] == pytest.approx(roc_auc_score(strange[rows], score[rows]))
    assert resampled[1] == pytest.approx(auc(recall, precision))
    roc, pr = area_metrics(strange, score, "k5", seed=0)
    assert (roc.metric, pr.metric) == ("oneclass_auroc:k5", "oneclass_auprc:k5")
    assert roc.ci_low < roc.value < roc.ci_high


def test_standardised_distances_of_normal_fruit_are_about_zero():
    rng = np.random.default_rng(0)
    train, more = (rng.normal(0, 5, (400, 3)).astype(np.float32) for _ in range(2))
    scores = standardised(train, more, k=5)
    assert abs(scores.mean()) < 0.3
    assert abs(scores.std() - 1) < 0.4


def test_the_network_of_ch_rand():
    network = create_backbone(CH_RAND, 3)
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 256)
    assert [found.shape[1:] for found in network.feature_maps(torch.rand(1, 3, 64, 64))] == [
        (128, 16, 16),
        (256, 8, 8),
        (512, 4, 4),
        (512, 2, 2),
    ]


@pytest.mark.slow
@pytest.mark.real_data
def test_real_strawberries_reproduce_the_naive_reference_and_beat_ch_rand(tmp_path):
    root = REAL / "riseholme"
    if not root.is_dir():
        pytest.skip(f"no {root}")
    import_dataset("riseholme", str(root), tmp_path / "data", progress=False)
    dataset = read_dataset(tmp_path / "data")
    from backend.data.cache import open_cache
    from backend.evaluation.oneclass import anomaly_scores

    pixels = open_cache(dataset, 64, tmp_path / "cache", progress=False)
    for case, naive in zip(read_cases(dataset, 1), (0.914, 0.767, 0.693, 0.650), strict=True):
        train, test = (pixels.batch(rows, "rgb")[:, 0] for rows in (case.train, case.test))
        score = anomaly_scores(colour.hsv_histogram(train), colour.hsv_histogram(test), k=5)
        assert areas(case.strange, score)[0] == pytest.approx(naive, abs=0.01)
        middle = [colour.joint_histogram(colour.to_hsv(part), 0.5) for part in (train, test)]
        for k in (1, 5):
            found = areas(case.strange, anomaly_scores(*middle, k=k))
            assert found > PUBLISHED[case.name, k]
            assert found[1] > PUBLISHED[case.name, k][1]

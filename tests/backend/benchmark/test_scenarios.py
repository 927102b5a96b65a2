"""The scenarios: both layouts of CIFAR-10 at first try, digits, the pieces of the published protocol."""

import shutil

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import top_k_accuracy_score

from backend.augment.pipeline import Augmenter
from backend.benchmark import scenarios
from backend.benchmark.networks import HAMMER
from backend.benchmark.scenarios import AUGMENTATIONS, METRICS, PUBLISHED, evaluate, top_k_accuracy
from backend.benchmark.triplets import PAIRWISE, TRIPLET, OtherClass, Trainer, augmented, embed, scenario_loss
from backend.config import AugmentConfig
from backend.data.importers.cifar10 import CLASSES
from backend.models.backbones import create_backbone


@pytest.mark.parametrize("layout", ["cifar_batches", "cifar_folders"])
def test_cifar_works_from_both_layouts(benchmark_json, request, layout):
    root = request.getfixturevalue(layout)
    found = benchmark_json("scenarios", "--data", "cifar10", "--root", root)
    assert (found["dataset"], found["failures"]) == ("CIFAR-10", [])
    rows = found["tables"][0]["rows"]
    assert len(rows) == 8
    assert rows[0]["accuracy, published"] == 0.265
    assert all(row["accuracy, here"]["value"] is not None for row in rows)
    # the class is the colour, so even one epoch of ours must beat chance by far
    assert max(row["accuracy, here"]["value"] for row in rows) > 0.5


def shrunk(root, classes: int, tests: int):
    """Class folders of the first classes, with the first pictures of each to test on."""
    for part in ("train", "test"):
        for name in CLASSES[classes:]:
            shutil.rmtree(root / part / name)
    for name in CLASSES[:classes]:
        for file in sorted((root / "test" / name).iterdir())[tests:]:
            file.unlink()
    return root


@pytest.mark.parametrize(("classes", "tests"), [(10, 2), (2, 10), (2, 2)])
def test_few_classes_and_few_pictures_are_scored(benchmark_json, cifar_folders, monkeypatch, classes, tests):
    monkeypatch.setattr(scenarios, "AUGMENTATIONS", {"none": "none"})
    found = benchmark_json("scenarios", "--data", "cifar10", "--root", shrunk(cifar_folders, classes, tests))
    assert found["failures"] == []
    rows = found["tables"][0]["rows"]
    assert all(0 <= row[f"{name}, here"]["value"] <= 1 for row in rows for name in ("top-3", "kNN"))
    if tests == 10:
        assert {row["top-3, here"]["value"] for row in rows} == {1}  # both are among the first three


@pytest.mark.parametrize(
    ("classes", "tests", "words"),
    [
        (1, 10, "one class to train on; expected 2 or more"),
        (10, 1, "10 test pictures of 10 classes"),
        (2, 1, "2 test pictures of 2 classes"),
    ],
)
def test_what_cannot_be_scored_is_one_line_and_trains_nothing(
    benchmark_command, cifar_folders, classes, tests, words
):
    root = shrunk(cifar_folders, classes, tests)
    code, _, err = benchmark_command("scenarios", "--data", "cifar10", "--root", root)
    assert code == 2
    assert f"error: {root}: {words}" in err.splitlines()[-1]
    assert " ... " not in err


def test_top_k_is_scikit_learns_and_goes_on_where_that_has_no_answer():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 10, 500)
    scores = rng.random((500, 10)).round(1)  # with ties
    for k in (1, 3, 5):
        assert top_k_accuracy(scores, np.arange(10), classes, k) == top_k_accuracy_score(
            classes, scores, k=k, labels=np.arange(10)
        )
    assert top_k_accuracy(scores[:, :2], np.array([0, 1]), classes % 2, 3) == 1
    assert top_k_accuracy(scores[:, :9], np.arange(9), classes, 9) == (classes != 9).mean()


def test_digits(benchmark_json, mnist_raw):
    found = benchmark_json("scenarios", "--root", mnist_raw)
    rows = found["tables"][0]["rows"]
    assert [row["accuracy, published"] for row in rows[:6]] == [0.659, 0.814, 0.783, 0.920, 0.558, 0.928]
    assert all(0 <= row["kNN, here"]["value"] <= 1 for row in rows)


def test_twelve_scenarios_are_published():
    assert {key for table in PUBLISHED.values() for key in table} == {
        (augmentation, loss) for augmentation in AUGMENTATIONS for loss in (PAIRWISE, TRIPLET)
    }
    assert sum(len(table) for table in PUBLISHED.values()) == 12


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 3)])
def test_the_network_has_five_strides_and_32_sigmoids(side, channels):
    network = create_backbone(HAMMER, channels)
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [m.stride for m in convolutions] == [(2, 2)] * 5
    assert network.feature_maps(torch.rand(2, channels, side, side))[-1].shape == (2, 32, 1, 1)
    features = network(torch.rand(2, channels, side, side)).detach()
    assert 0 < float(features.min()) <= float(features.max()) < 1


def test_losses_are_those_of_torch():
    generator = torch.Generator().manual_seed(0)
    a, p, n = (torch.rand(6, 4, generator=generator) for _ in range(3))
    cosine = torch.nn.functional.cosine_similarity
    expected = ((1 - cosine(a, p)).sum() + cosine(a, n).clamp_min(0).sum()) / 12
    torch.testing.assert_close(scenario_loss(PAIRWISE, a, p, n), expected)
    distance = torch.nn.functional.pairwise_distance
    torch.testing.assert_close(
        scenario_loss(TRIPLET, a, p, n), (distance(a, p) - distance(a, n) + 1).clamp_min(0).mean()
    )


def test_a_negative_is_of_another_class_and_any_of_them():
    classes = np.array([0, 1, 2, 1, 0, 1])
    draw = OtherClass(classes)
    chosen = np.repeat([0, 1, 2], 500)
    found = draw.draw(chosen, np.random.default_rng(0))
    assert (classes[found] != chosen).all()
    for label in range(3):
        assert set(found[chosen == label]) == set(np.flatnonzero(classes != label))


def test_grey_is_augmented_as_torchvision_does_and_stays_grey():
    images = torch.rand(8, 1, 28, 28)
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(augmented(Augmenter(AugmentConfig("none"), 28), images, generator), images)
    view = augmented(Augmenter(AugmentConfig("simclr"), 28), images, generator)
    assert view.shape == images.shape
    assert not torch.equal(view, images)


def test_training_separates_and_repeats():
    rng = np.random.default_rng(0)
    classes = np.arange(120) % 3
    pixels = rng.integers(0, 40, (120, 28, 28, 1)).astype(np.uint8)
    for label in range(3):
        pixels[classes == label, 8 * label : 8 * label + 8] = 230
    features = [
        embed(Trainer(pixels, classes, "none", "cpu", seed=1).run(TRIPLET, epochs=30), pixels, "cpu")
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*features)
    trained = Trainer(pixels, classes, "none", "cpu", seed=1)
    trained.run(TRIPLET, epochs=30)
    assert trained.curves[-1].value < trained.curves[0].value


def test_evaluation_splits_80_to_20_and_fits_on_the_80():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 5, 200)
    features = (np.eye(5)[classes] * 2 + rng.normal(0, 1, (200, 5))).astype(np.float32)
    values = {metric.metric: metric.value for metric in evaluate(features, classes, seed=7)}
    order = np.random.default_rng(7).permutation(200)
    fit, score = order[:160], order[160:]
    scaled = (features - features[fit].mean(0)) / features[fit].std(0)
    expected = (
        LogisticRegression(max_iter=1000).fit(scaled[fit], classes[fit]).score(scaled[score], classes[score])
    )
    assert values["probe_accuracy"] == expected
    assert set(values) == set(METRICS)
    assert values["probe_accuracy"] <= values["top3_accuracy"]

"""What a pretraining may see: labels only where it asks for them, pixels only of its own fruit."""

import numpy as np
import pytest


@pytest.mark.parametrize("method", ["simclr", "rotation"])
def test_label_free_methods_never_see_labels(train, nir, method):
    shuffled = np.random.default_rng(0).permutation(nir.dataset.labels)
    one, two = train(method, nir, epochs=1), train(method, nir, epochs=1, labels=shuffled)
    assert one.result.weights == two.result.weights


def test_metric_methods_use_the_labels_they_are_given(train, nir):
    with_labels, without = (
        train("drlim", nir, epochs=1, labels=labels) for labels in (nir.dataset.labels, None)
    )
    assert with_labels.result.weights != without.result.weights


@pytest.mark.parametrize("method", ["moco", "supcon"])
def test_only_the_given_fruit_are_seen(train, nir, method):
    """Pixels of fruit outside the pool may change without changing a bit of the result."""

    def blacken(pixels):
        pixels[1::2] = 0
        return pixels

    fruit = np.arange(0, len(nir.cache), 2)
    one, two = (train(method, data, fruit=fruit, epochs=1) for data in (nir, nir.repainted(blacken)))
    assert one.result.weights == two.result.weights

import numpy as np
import torch

from backend.training.feed import FruitFeed, StepOrder, sampling_weights


def test_a_batch_holds_what_the_folder_holds(multilabel_context):
    feed = FruitFeed(multilabel_context.dataset, multilabel_context.cache, ("rgb", "nir", "pressure"), "cpu")
    rows = np.array([4, 3, 30])
    batch = feed.batch(rows)
    assert len(batch) == 3
    assert batch.images["rgb"].shape == (3, 2, 3, 16, 16)
    assert batch.images["nir"].shape == (3, 1, 1, 16, 16)
    pixels = multilabel_context.cache.batch(rows, "rgb")
    expected = torch.from_numpy(pixels).permute(0, 1, 4, 2, 3) / 255
    torch.testing.assert_close(batch.images["rgb"], expected)
    assert batch.present["rgb"].tolist() == [[True, False], [True, True], [True, True]]
    assert batch.pressure_present.flatten().tolist() == [True, False, True]
    assert not batch.pressure.isnan().any()
    np.testing.assert_array_equal(batch.labels, multilabel_context.dataset.labels[rows])


def test_images_are_channels_last_once_flattened(multilabel_context):
    feed = FruitFeed(multilabel_context.dataset, multilabel_context.cache, ("rgb",), "cpu")
    flat = feed.batch(np.arange(4)).images["rgb"].flatten(0, 1)
    assert flat.is_contiguous(memory_format=torch.channels_last)


def test_without_pressure_there_are_no_readings(multilabel_context):
    feed = FruitFeed(multilabel_context.dataset, multilabel_context.cache, ("rgb",), "cpu")
    assert feed.batch(np.arange(2)).pressure.shape == (2, 0)
    assert feed.spec.readings == 0


def test_every_fruit_once_a_pass():
    order = StepOrder(np.arange(100, 120), 5, seed=1)
    steps = list(order.steps(8))
    assert [len(step) for step in steps] == [5] * 8
    for half in (steps[:4], steps[4:]):
        assert sorted(np.concatenate(half)) == list(range(100, 120))
    assert not np.array_equal(np.concatenate(steps[:4]), np.concatenate(steps[4:]))


def test_a_part_smaller_than_the_batch_still_trains():
    order = StepOrder(np.arange(3), 32, seed=0)
    assert order.steps_per_epoch == 1
    assert [len(step) for step in order.steps(2)] == [3, 3]


def test_balanced_draws_even_out_the_labels():
    labels = np.zeros((1000, 2), np.float32)
    labels[:20, 0] = 1
    labels[20:60, 1] = 1
    order = StepOrder(np.arange(1000), 100, seed=0, weights=sampling_weights(labels))
    drawn = np.concatenate(list(order.steps(50)))
    shares = labels[drawn].mean(axis=0)
    np.testing.assert_allclose(shares, [1 / 3, 1 / 3], atol=0.05)

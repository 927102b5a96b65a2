"""Curves, sanity check and pictures."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from backend.explain.curves import deletion_and_insertion
from backend.explain.gradcam import grad_cam
from backend.explain.heatmap import enlarge, grey_png, pack_maps
from backend.explain.sanity import randomised, rank_correlation


def bright_corner(batch):
    """A "model" that only looks at the upper left quarter of the first RGB view."""
    return batch.images["rgb"][:, 0, :, :8, :8].mean(dim=(1, 2, 3))


@pytest.fixture
def case(make_batch):
    """Black fruit of two views and two sensors with a white upper left quarter in one view, and its map."""
    batch = make_batch(3, views=2, side=16)
    images = {name: torch.zeros_like(x) for name, x in batch.images.items()}
    images["rgb"][:, 0, :, :8, :8] = 1
    right = {name: torch.zeros(3, 2, 16, 16) for name in batch.images}
    right["rgb"][:, 0, :8, :8] = 1
    return replace(batch, images=images), right


def test_a_right_map_is_deleted_fast_and_inserted_fast(case):
    batch, right = case
    wrong = {name: 1 - x for name, x in right.items()}
    # With one step deletion goes from the picture, whose corner is 1, straight to the blurred one.
    blurred = 2 * deletion_and_insertion(batch, right, bright_corner, steps=1).deletion - 1
    assert (blurred < 0.8).all()
    good = deletion_and_insertion(batch, right, bright_corner, steps=16)
    bad = deletion_and_insertion(batch, wrong, bright_corner, steps=16)
    # The marked quarter is one sixteenth of the pixels: one step of the curve takes it whole.
    step = (1 - blurred) / 32
    torch.testing.assert_close(good.deletion, blurred + step)
    torch.testing.assert_close(good.insertion, 1 - step)
    torch.testing.assert_close(bad.deletion, 1 - step)
    torch.testing.assert_close(bad.insertion, blurred + step)


def test_pixels_of_absent_views_count_for_nothing(case):
    batch, right = case
    batch.present["nir"][:] = False
    batch.present["rgb"][:, 1] = False
    blurred = 2 * deletion_and_insertion(batch, right, bright_corner, steps=1).deletion - 1
    areas = deletion_and_insertion(batch, right, bright_corner, steps=4)
    torch.testing.assert_close(areas.deletion, blurred + (1 - blurred) / 8)  # now it is one quarter


def test_randomising_changes_every_weight_but_not_the_input_statistics(make_network, make_batch):
    model = make_network()
    model.encoder("rgb").normalise.mean.fill_(0.3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    twin = randomised(model, 1)
    for name, value in twin.named_parameters():
        assert not torch.equal(value, before[name]), name
    torch.testing.assert_close(twin.encoder("rgb").normalise.mean, model.encoder("rgb").normalise.mean)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not twin.training
    again = randomised(model, 1)
    assert all(torch.equal(a, b) for a, b in zip(twin.parameters(), again.parameters(), strict=True))
    batch, targets = make_batch(), torch.zeros(5, dtype=torch.long)
    maps = [grad_cam(network, batch, targets, 1).maps["rgb"] for network in (model, twin)]
    assert not torch.allclose(*maps)


def test_rank_correlation_is_spearmans():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    a = {("rgb", "1"): rng.random((4, 4)), ("nir", "1"): rng.random((3, 3))}
    b = {view: value + rng.random(value.shape) for view, value in a.items()}
    flat = [np.concatenate([maps[view].ravel() for view in a]) for maps in (a, b)]
    assert rank_correlation(a, b) == pytest.approx(spearmanr(*flat).statistic)
    assert rank_correlation(a, a) == pytest.approx(1)
    assert np.isnan(rank_correlation(a, {view: np.zeros_like(value) for view, value in a.items()}))


def test_pictures_are_grey_and_share_the_scale_of_their_fruit():
    heat = np.array([[0, 1], [2, 4]], dtype=np.float32)
    with Image.open(io.BytesIO(grey_png(heat, 8))) as picture:
        assert (picture.mode, picture.size) == ("L", (2, 2))
        assert np.asarray(picture).tolist() == [[0, 32], [64, 128]]
    with Image.open(io.BytesIO(grey_png(np.zeros((2, 2), np.float32), 0))) as picture:
        assert not np.asarray(picture).any()


def test_raw_maps_come_back_exactly():
    heat = np.random.default_rng(0).random((4, 4)).astype(np.float32)
    with np.load(io.BytesIO(pack_maps({"rgb-1": heat})), allow_pickle=False) as kept:
        np.testing.assert_array_equal(kept["rgb-1"], heat)


def test_enlarging_keeps_the_hottest_place():
    maps = torch.zeros(1, 1, 4, 4)
    maps[0, 0, 1, 2] = 1
    row, column = divmod(int(enlarge(maps, 64).argmax()), 64)
    assert (row // 16, column // 16) == (1, 2)

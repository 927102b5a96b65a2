"""Curves, sanity check and pictures."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from backend.explain.curves import channel_means, deletion_and_insertion
from backend.explain.gradcam import grad_cam
from backend.explain.heatmap import enlarge, grey_png, pack_maps
from backend.explain.sanity import randomised, rank_correlation


def bright_corner(batch):
    """A "model" that only looks at the upper left quarter of the first RGB view."""
    return batch.images["rgb"][:, 0, :, :8, :8].mean(dim=(1, 2, 3))


@pytest.fixture
def case(make_network, make_batch):
    model, batch = make_network(("rgb", "nir"), views=2), make_batch(3, views=2, side=16)
    for encoder in model.encoders:
        model.encoder(encoder).normalise.mean.zero_()
    images = {name: torch.zeros_like(x) for name, x in batch.images.items()}
    images["rgb"][:, 0, :, :8, :8] = 1
    return model, replace(batch, images=images)


def test_a_right_map_is_deleted_fast_and_inserted_fast(case):
    model, batch = case
    right = {name: torch.zeros(3, 2, 16, 16) for name in batch.images}
    right["rgb"][:, 0, :8, :8] = 1
    wrong = {name: 1 - x for name, x in right.items()}
    good = deletion_and_insertion(model, batch, right, bright_corner, steps=16)
    bad = deletion_and_insertion(model, batch, wrong, bright_corner, steps=16)
    # The marked quarter is one sixteenth of the pixels: one step of the curve takes it whole.
    assert good.deletion.tolist() == pytest.approx([0.5 / 16] * 3)
    assert bad.deletion.tolist() == pytest.approx([1 - 0.5 / 16] * 3)
    assert (good.insertion > 0.95).all()
    assert (bad.insertion < good.insertion - 0.1).all()


def test_pixels_of_absent_views_count_for_nothing(case):
    model, batch = case
    batch.present["nir"][:] = False
    batch.present["rgb"][:, 1] = False
    right = {name: torch.zeros(3, 2, 16, 16) for name in batch.images}
    right["rgb"][:, 0, :8, :8] = 1
    areas = deletion_and_insertion(model, batch, right, bright_corner, steps=4)
    assert areas.deletion.tolist() == pytest.approx([0.5 / 4] * 3)  # now it is one quarter


def test_early_fusion_shares_the_means_out(make_network, make_batch):
    model = make_network(("rgb", "nir"), fusion="early")
    model.encoder("early").normalise.mean.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    means = channel_means(model, make_batch())
    assert means["rgb"].flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert means["nir"].flatten().tolist() == pytest.approx([0.4])


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

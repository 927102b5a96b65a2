"""Colour against torchvision, image by image, and the hue against the standard library's YIQ."""

import colorsys
import math
from collections.abc import Callable

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from torch import Tensor

from backend.augment.colour import compose
from backend.augment.pipeline import Augmenter
from backend.augment.registry import get_operation
from backend.augment.sampling import Sampler
from backend.augment.stages import ColourStage
from backend.config import AugmentConfig

EVERYTHING = slice(None)


def _jitter(images: Tensor, brightness: float, contrast: float, saturation: float, turns: float) -> Tensor:
    drawn = torch.tensor([[brightness, contrast, saturation, 2 * math.pi * turns]]).repeat(len(images), 1)
    stage = ColourStage(((get_operation("colour_jitter"), (drawn, None)),))
    return stage(images.clone(), EVERYTHING, torch.Generator())


@pytest.mark.parametrize("factor", [0.2, 1.0, 1.8])
def test_brightness_contrast_and_saturation_are_torchvisions(
    images: Callable[..., Tensor], factor: float
) -> None:
    batch = images(4)
    pairs = {
        "brightness": (_jitter(batch, factor, 1, 1, 0), TF.adjust_brightness),
        "contrast": (_jitter(batch, 1, factor, 1, 0), TF.adjust_contrast),
        "saturation": (_jitter(batch, 1, 1, factor, 0), TF.adjust_saturation),
    }
    for ours, function in pairs.values():
        theirs = torch.stack([function(image, factor) for image in batch])
        # torchvision's grey weights add up to .9999.
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)


def test_the_order_is_brightness_contrast_saturation(images: Callable[..., Tensor]) -> None:
    batch = 0.4 + 0.2 * images(4)  # stays inside the range, where clamping once or thrice is the same
    ours = _jitter(batch, 1.2, 0.7, 1.3, 0)
    chain = TF.adjust_saturation(TF.adjust_contrast(TF.adjust_brightness(batch, 1.2), 0.7), 1.3)
    torch.testing.assert_close(ours, chain, atol=1e-3, rtol=0)


@pytest.mark.parametrize("turns", [-0.2, 0.1, 0.5])
def test_hue_turns_the_chroma_of_each_pixel(images: Callable[..., Tensor], turns: float) -> None:
    batch = 0.4 + 0.2 * images(1, 3, 4, 4)
    ours = _jitter(batch, 1, 1, 1, turns)
    cos, sin = math.cos(2 * math.pi * turns), math.sin(2 * math.pi * turns)
    for before, after in zip(batch[0].flatten(1).T.tolist(), ours[0].flatten(1).T.tolist(), strict=True):
        y, i, q = colorsys.rgb_to_yiq(*before)
        expected = colorsys.yiq_to_rgb(y, cos * i + sin * q, cos * q - sin * i)
        assert after == pytest.approx(expected, abs=0.01)  # colorsys rounds its coefficients


@pytest.mark.parametrize("colour", [(0.8, 0.3, 0.3), (0.3, 0.8, 0.3), (0.3, 0.3, 0.8)])
def test_hue_moves_as_in_hsv(colour: tuple[float, float, float]) -> None:
    image = torch.tensor(colour).view(1, 3, 1, 1)
    moved = _jitter(image, 1, 1, 1, 0.05).flatten().tolist()
    change = (colorsys.rgb_to_hsv(*moved)[0] - colorsys.rgb_to_hsv(*colour)[0] + 0.5) % 1 - 0.5
    assert 0.02 < change < 0.09


def test_hue_keeps_grey_pixels_luma_and_a_full_turn(images: Callable[..., Tensor]) -> None:
    batch = 0.4 + 0.2 * images(3)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    turned = _jitter(batch, 1, 1, 1, 0.3)
    torch.testing.assert_close((turned * luma).sum(1), (batch * luma).sum(1), atol=1e-5, rtol=0)
    grey = batch[:, :1].repeat(1, 3, 1, 1)
    torch.testing.assert_close(_jitter(grey, 1, 1, 1, 0.3), grey, atol=1e-5, rtol=0)
    torch.testing.assert_close(_jitter(batch, 1, 1, 1, 1.0), batch, atol=1e-5, rtol=0)


def test_jitter_draws_each_factor_over_its_range_and_never_below_zero() -> None:
    operation = get_operation("colour_jitter")
    sampler = Sampler(torch.Generator().manual_seed(0), 4000)
    values = {"brightness": 1.5, "contrast": 0.4, "saturation": 0.0, "hue": 0.25}
    drawn = operation.draw(sampler, 3, values)
    low, high = drawn.min(0).values, drawn.max(0).values
    torch.testing.assert_close(low, torch.tensor([0.0, 0.6, 1.0, -math.pi / 2]), atol=0.01, rtol=0)
    torch.testing.assert_close(high, torch.tensor([2.5, 1.4, 1.0, math.pi / 2]), atol=0.01, rtol=0)
    assert torch.corrcoef(drawn[:, [0, 1, 3]].T).sub(torch.eye(3)).abs().max() < 0.06


def test_grey_is_torchvisions(images: Callable[..., Tensor], seeded) -> None:
    batch = images(4)
    config = AugmentConfig(policy="custom", operations=("grey",))
    ours = Augmenter(config, 16, always=True)({"rgb": batch}, seeded())["rgb"]
    torch.testing.assert_close(ours, TF.rgb_to_grayscale(batch, 3), atol=1e-3, rtol=0)


def test_composed_maps_act_one_after_the_other() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 5, 3, 4, generator=generator)
    pixel = torch.rand(5, 3, 1, generator=generator)

    def act(matrix: Tensor, colour: Tensor) -> Tensor:
        return matrix[..., :3] @ colour + matrix[..., 3:]

    torch.testing.assert_close(act(compose(second, first), pixel), act(second, act(first, pixel)))


def test_neighbouring_colour_operations_equal_one_after_the_other(images: Callable[..., Tensor]) -> None:
    batch = 0.4 + 0.2 * images(4)
    jitter, grey = get_operation("colour_jitter"), get_operation("grey")
    factors = torch.tensor([[1.1, 0.8, 1.2, 0.3]]).repeat(4, 1)
    some = torch.tensor([True, False, True, False])
    draws = ((jitter, (factors, None)), (grey, (torch.ones(4, 1), some)))
    together = ColourStage(draws)(batch.clone(), EVERYTHING, torch.Generator())
    apart = batch.clone()
    for draw in draws:
        apart = ColourStage((draw,))(apart, EVERYTHING, torch.Generator())
    torch.testing.assert_close(together, apart)
    assert torch.allclose(together[0, 0], together[0, 1], atol=1e-5)
    assert not torch.allclose(together[1, 0], together[1, 1], atol=1e-2)

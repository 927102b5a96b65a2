"""Colour against torchvision, image by image, and the hue against the standard library's YIQ."""

import colorsys
import math
from collections.abc import Callable

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from torch import Tensor

from backend.augment.colour import compose, jitter_maps
from backend.augment.pipeline import Augmenter
from backend.augment.registry import get_operation
from backend.augment.sampling import Sampler
from backend.augment.stages import ColourStage, bind
from backend.config import AugmentConfig


def _jitter(images: Tensor, brightness: float, contrast: float, saturation: float, turns: float) -> Tensor:
    factors = torch.tensor([brightness, contrast, saturation, 2 * math.pi * turns]).repeat(len(images), 1)
    return _carry_out(jitter_maps(*factors.unbind(1)), images)


def _carry_out(maps: Tensor, images: Tensor) -> Tensor:
    return ColourStage(maps)(images, slice(None), torch.Generator())


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
    sampler = Sampler(torch.Generator().manual_seed(0), 4000)
    values = {"brightness": 1.5, "contrast": 0.4, "saturation": 0.6, "hue": 0.25}
    maps = get_operation("colour_jitter").draw(sampler, 3, values)
    # White is brightened only; the share of its mean is the contrast; what is left of red's chroma and
    # where it points is saturation and hue.
    brightness = maps.sum(dim=2)[:, 0]
    contrast = 1 - maps[..., 3:].sum(dim=2)[:, 0] / brightness
    i, q = (
        maps[:, :, 0] @ torch.tensor([[0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]]).T
    ).T
    red = math.hypot(0.595716, 0.211456)
    saturation = torch.hypot(i, q) / (brightness * contrast * red)
    angle = math.atan2(0.211456, 0.595716) - torch.atan2(q, i)
    drawn = torch.stack([brightness, contrast, saturation, angle], dim=1)[brightness > 0.05]
    low, high = drawn.min(0).values, drawn.max(0).values
    torch.testing.assert_close(low, torch.tensor([0.05, 0.6, 0.4, -math.pi / 2]), atol=0.01, rtol=0)
    torch.testing.assert_close(high, torch.tensor([2.5, 1.4, 1.6, math.pi / 2]), atol=0.01, rtol=0)
    assert torch.corrcoef(drawn.T).sub(torch.eye(4)).abs().max() < 0.06


def test_grey_is_torchvisions(images: Callable[..., Tensor], seeded) -> None:
    batch = images(4)
    config = AugmentConfig(policy="custom", operations=("grey",))
    ours = Augmenter(config, 16, always=True)({"rgb": batch}, seeded())["rgb"]
    torch.testing.assert_close(ours, TF.rgb_to_grayscale(batch, 3), atol=1e-3, rtol=0)


def test_composed_maps_act_one_after_the_other() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 5, 3, 6, generator=generator)
    pixels = torch.rand(5, 3, 7, generator=generator)

    def act(maps: Tensor, colours: Tensor) -> Tensor:
        return maps[..., :3] @ colours + maps[..., 3:] @ colours.mean(2, keepdim=True)

    torch.testing.assert_close(act(compose(second, first), pixels), act(second, act(first, pixels)))


def test_neighbouring_colour_operations_become_one_and_only_where_drawn(
    images: Callable[..., Tensor],
) -> None:
    batch = 0.4 + 0.2 * images(4)
    jitter = jitter_maps(*torch.tensor([1.1, 0.8, 1.2, 0.3]).repeat(4, 1).unbind(1))
    grey = get_operation("grey").draw(Sampler(torch.Generator(), 4), 3, {"amount": 1.0})
    some = torch.tensor([True, False, True, False])
    (stage,) = bind(
        [(get_operation("colour_jitter"), (jitter, None)), (get_operation("grey"), (grey, some))], gather=True
    )
    together = stage(batch, slice(None), torch.Generator())
    jittered = _carry_out(jitter, batch)
    torch.testing.assert_close(together[~some], jittered[~some])
    torch.testing.assert_close(together[some], _carry_out(grey, jittered)[some])

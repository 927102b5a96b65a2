"""Pixel, patch and sensor operations against slow transcriptions, image by image."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import torch
import torchvision.transforms.v2.functional as TF
from PIL import Image, ImageOps
from scipy.stats import chisquare
from torch import Tensor

from backend.augment.registry import Effect, get_operation
from backend.augment.sampling import Sampler
from backend.augment.stages import EffectStage

SEED = 5


def _effect(name: str) -> Effect:
    operation = get_operation(name)
    assert isinstance(operation, Effect)
    return operation


def _draw(name: str, batch: int, channels: int = 3, **magnitudes: float) -> Tensor:
    effect = _effect(name)
    sampler = Sampler(torch.Generator().manual_seed(SEED), batch)
    return effect.draw(sampler, channels, effect.info.values(magnitudes, 1.0))


def _apply(name: str, images: Tensor, drawn: Tensor) -> Tensor:
    return _effect(name).apply(images, drawn, torch.Generator().manual_seed(SEED))


def _naive_blur(plane: np.ndarray, sigma: float) -> np.ndarray:
    height, width = plane.shape
    out = np.zeros_like(plane)
    for row in range(height):
        for column in range(width):
            total = 0.0
            for i in range(height):
                for j in range(width):
                    weight = math.exp(-((row - i) ** 2 + (column - j) ** 2) / (2 * sigma**2))
                    out[row, column] += weight * plane[i, j]
                    total += weight
            out[row, column] /= total
    return out


def test_blur_agrees_with_its_transcription(images: Callable[..., Tensor]) -> None:
    batch, sigmas = images(3, 2, 8, 11), torch.tensor([0.3, 0.9, 2.0])
    blurred = _apply("gaussian_blur", batch, sigmas)
    for image, sigma, result in zip(batch, sigmas.tolist(), blurred, strict=True):
        expected = np.stack([_naive_blur(plane, sigma) for plane in image.double().numpy()])
        np.testing.assert_allclose(result.numpy(), expected, atol=1e-5)


def test_blur_is_torchvisions_away_from_the_border(images: Callable[..., Tensor]) -> None:
    batch, sigmas = images(3, 3, 32, 32), torch.tensor([0.5, 1.0, 1.5])
    blurred = _apply("gaussian_blur", batch, sigmas)
    for image, sigma, result in zip(batch, sigmas.tolist(), blurred, strict=True):
        expected = TF.gaussian_blur(image, [13, 13], [sigma, sigma])
        inside = (..., slice(7, -7), slice(7, -7))
        torch.testing.assert_close(result[inside], expected[inside], atol=1e-4, rtol=0)


def test_a_blur_of_no_width_changes_no_bit(images: Callable[..., Tensor]) -> None:
    batch = images(2)
    assert torch.equal(_apply("gaussian_blur", batch, torch.zeros(2)), batch)


def test_noise_has_the_drawn_strength_for_each_sample() -> None:
    grey = torch.full((3, 4, 64, 64), 0.5)
    stds = torch.tensor([0.0, 0.02, 0.1])
    noise = _apply("gaussian_noise", grey, stds) - grey
    torch.testing.assert_close(noise.flatten(1).std(1), stds, atol=1e-3, rtol=0.03)
    assert noise.mean().abs() < 1e-3
    channels = torch.corrcoef(noise[2].flatten(1))
    assert channels.sub(torch.eye(4)).abs().max() < 0.06


def test_solarise_is_pils() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(16, 16)
    theirs = np.asarray(ImageOps.solarize(Image.fromarray(levels.numpy()), threshold=128))
    ours = _apply("solarise", levels.float().div(255).view(1, 1, 16, 16), torch.tensor([0.5]))
    np.testing.assert_array_equal(ours.mul(255).round().to(torch.uint8)[0, 0].numpy(), theirs)


def test_channel_randomisation_moves_channels_as_drawn(images: Callable[..., Tensor]) -> None:
    batch = images(6, 5)
    drawn = _draw("channel_randomisation", 6, channels=5)
    mixed = _apply("channel_randomisation", batch, drawn)
    for image, source, result in zip(batch, drawn.tolist(), mixed, strict=True):
        assert torch.equal(result, torch.stack([image[channel] for channel in source]))


def test_channel_randomisation_draws_each_of_the_26_outcomes_alike_and_never_the_identity() -> None:
    drawn = _draw("channel_randomisation", 5200)
    counts = Counter(tuple(row) for row in drawn.tolist())
    assert (0, 1, 2) not in counts
    assert len(counts) == 26
    assert chisquare(list(counts.values())).pvalue > 0.01


def test_channel_randomisation_of_two_channels_is_fair_and_of_one_does_nothing() -> None:
    counts = Counter(tuple(row) for row in _draw("channel_randomisation", 3000, channels=2).tolist())
    assert set(counts) == {(0, 0), (1, 0), (1, 1)}
    assert chisquare(list(counts.values())).pvalue > 0.01
    assert not _draw("channel_randomisation", 100, channels=1).any()


def test_jigsaw_lays_tiles_as_drawn(images: Callable[..., Tensor]) -> None:
    batch = images(4, 2, 13, 11)  # neither side is a multiple of 3
    drawn = _draw("jigsaw", 4)
    shuffled = _apply("jigsaw", batch, drawn)
    tall, wide = 13 // 3, 11 // 3
    for image, order, result in zip(batch, drawn.tolist(), shuffled, strict=True):
        expected = image.clone()
        for place, tile in enumerate(order):
            to, source = divmod(place, 3), divmod(tile, 3)
            expected[:, to[0] * tall : (to[0] + 1) * tall, to[1] * wide : (to[1] + 1) * wide] = image[
                :, source[0] * tall : (source[0] + 1) * tall, source[1] * wide : (source[1] + 1) * wide
            ]
        assert torch.equal(result, expected)
    assert sorted(drawn[0].tolist()) == list(range(9))


def test_cutout_fills_a_square_with_the_mean_colour(images: Callable[..., Tensor]) -> None:
    batch = images(5, 3, 12, 12)
    drawn = _draw("cutout", 5, side=0.4)
    cut = _apply("cutout", batch, drawn)
    for image, (x, y, half), result in zip(batch, drawn.tolist(), cut, strict=True):
        mean = image.mean(dim=(1, 2))
        assert half == np.float32(0.2)
        for row in range(12):
            for column in range(12):
                inside = abs((column + 0.5) / 12 - x) < half and abs((row + 0.5) / 12 - y) < half
                expected = mean if inside else image[:, row, column]
                torch.testing.assert_close(result[:, row, column], expected)


def test_gain_and_offset_are_linear_for_each_channel(images: Callable[..., Tensor]) -> None:
    batch = images(3, 2)
    drawn = _draw("nir_gain_offset", 3, channels=2, gain=0.3, offset=0.2)
    changed = _apply("nir_gain_offset", batch, drawn)
    for sample in range(3):
        for channel in range(2):
            gain, offset = drawn[sample, channel].tolist()
            assert 0.7 <= gain <= 1.3
            assert -0.2 <= offset <= 0.2
            torch.testing.assert_close(changed[sample, channel], gain * batch[sample, channel] + offset)


def test_changing_all_and_keeping_the_drawn_equals_changing_the_drawn(images: Callable[..., Tensor]) -> None:
    batch = images(6)
    some = torch.tensor([True, False, True, True, False, False])
    generator = torch.Generator().manual_seed(SEED)
    for name in ("gaussian_blur", "solarise", "channel_randomisation", "jigsaw", "cutout", "nir_gain_offset"):
        draw = (_draw(name, 6), some)
        results = [
            EffectStage(_effect(name), draw, gather)(batch.clone(), slice(None), generator)
            for gather in (True, False)
        ]
        torch.testing.assert_close(results[0], results[1])
        assert torch.equal(results[0][~some], batch[~some])
        assert not torch.equal(results[0][some], batch[some])

"""Geometry against torchvision and PIL, and the warp against a transcription pixel by pixel."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as TF
from scipy.stats import ks_2samp
from torch import Tensor
from torchvision.transforms import InterpolationMode, RandomResizedCrop

from backend.augment.geometry import warp
from backend.augment.registry import get_operation
from backend.augment.sampling import Sampler


def _draw(name: str, batch: int, seed: int = 0, **magnitudes: float) -> Tensor:
    operation = get_operation(name)
    values = operation.info.values(magnitudes, 1.0)
    return operation.draw(Sampler(torch.Generator().manual_seed(seed), batch), 0, values)


def _outside(index: int, size: int, padding: str) -> int | None:
    """The pixel that stands for one outside the image, None where that is black."""
    if padding == "zeros":
        return index if 0 <= index < size else None
    index %= 2 * size
    return index if index < size else 2 * size - 1 - index


def _naive_warp(image: np.ndarray, matrix: np.ndarray, size: int, padding: str) -> np.ndarray:
    channels, height, width = image.shape
    out = np.zeros((channels, size, size))
    for row in range(size):
        for column in range(size):
            point = matrix @ [(2 * column + 1) / size - 1, (2 * row + 1) / size - 1, 1]
            x, y = ((point[0] + 1) * width - 1) / 2, ((point[1] + 1) * height - 1) / 2
            for dy in (0, 1):
                for dx in (0, 1):
                    i, j = math.floor(y) + dy, math.floor(x) + dx
                    weight = (1 - abs(y - i)) * (1 - abs(x - j))
                    i, j = _outside(i, height, padding), _outside(j, width, padding)
                    if i is not None and j is not None:
                        out[:, row, column] += weight * image[:, i, j]
    return out


@pytest.mark.parametrize("padding", ["zeros", "reflection"])
@pytest.mark.parametrize(("height", "width", "size"), [(9, 9, 9), (7, 12, 10)])
def test_warp_agrees_with_its_transcription(
    images: Callable[..., Tensor], padding: str, height: int, width: int, size: int
) -> None:
    batch = images(3, 2, height, width)
    generator = torch.Generator().manual_seed(3)
    maps = torch.eye(3) + 0.4 * torch.randn(3, 3, 3, generator=generator)
    maps[:, 2] = torch.tensor([0.0, 0.0, 1.0])
    warped = warp(batch, maps, size, padding)
    for image, matrix, result in zip(batch, maps, warped, strict=True):
        expected = _naive_warp(image.double().numpy(), matrix.double().numpy(), size, padding)
        np.testing.assert_allclose(result.numpy(), expected, atol=1e-4)


@pytest.mark.parametrize(("name", "axis"), [("horizontal_flip", 3), ("vertical_flip", 2)])
def test_flips(images: Callable[..., Tensor], name: str, axis: int) -> None:
    batch = images(3, 4, 10, 10)
    flipped = warp(batch, _draw(name, 3), 10, "reflection")
    torch.testing.assert_close(flipped, batch.flip(axis), atol=1e-5, rtol=0)


def test_rotation_is_torchvisions(images: Callable[..., Tensor]) -> None:
    batch = images(6, 3, 20, 20)
    maps = _draw("rotation", 6, degrees=180.0)
    turned = warp(batch, maps, 20, "zeros")
    for image, matrix, result in zip(batch, maps, turned, strict=True):
        # On the screen y points down, so the angle of the map is the counter-clockwise turn of the picture.
        degrees = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))
        expected = TF.rotate(image, degrees, interpolation=InterpolationMode.BILINEAR)
        torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)


def test_rotation_stays_within_its_degrees_and_uses_them() -> None:
    maps = _draw("rotation", 2000, degrees=40.0)
    degrees = torch.rad2deg(torch.atan2(maps[:, 1, 0], maps[:, 0, 0]))
    assert degrees.abs().max() <= 40.001
    assert degrees.min() < -38
    assert degrees.max() > 38
    assert abs(degrees.mean()) < 2


def test_crop_is_torchvisions_inside_the_window(images: Callable[..., Tensor]) -> None:
    size, (top, left, height, width) = 24, (3, 5, 12, 16)
    image = images(1, 3, size, size)
    matrix = torch.eye(3)
    matrix[0, 0], matrix[1, 1] = width / size, height / size
    matrix[0, 2] = (2 * left + width) / size - 1
    matrix[1, 2] = (2 * top + height) / size - 1
    ours = warp(image, matrix.unsqueeze(0), size, "reflection")
    theirs = TF.resized_crop(image, top, left, height, width, [size, size], antialias=True)
    # In the outermost pixels we see what lies beyond the window, torchvision repeats its edge.
    torch.testing.assert_close(ours[..., 1:-1, 1:-1], theirs[..., 1:-1, 1:-1], atol=1e-4, rtol=0)


def test_crops_are_distributed_as_torchvisions() -> None:
    maps = _draw("random_resized_crop", 3000).numpy()
    blank = torch.empty(1, 2000, 2000)
    torch.manual_seed(0)
    boxes = np.array([RandomResizedCrop.get_params(blank, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(3000)])
    height, width = boxes[:, 2] / 2000, boxes[:, 3] / 2000
    left = np.divide(boxes[:, 1], 2000 - boxes[:, 3], out=np.zeros(3000), where=boxes[:, 3] < 2000)
    our_left = (1 + maps[:, 0, 2] / (1 - maps[:, 0, 0] + 1e-9)) / 2
    assert ks_2samp(maps[:, 0, 0] * maps[:, 1, 1], height * width).pvalue > 0.01
    assert ks_2samp(maps[:, 0, 0] / maps[:, 1, 1], width / height).pvalue > 0.01
    assert ks_2samp(our_left, left).pvalue > 0.01


def test_crops_stay_inside_the_image() -> None:
    for aspect in (1.0, 4 / 3, 4.0):
        maps = _draw("random_resized_crop", 500, scale_min=0.05, aspect=aspect)
        for axis in (0, 1):
            half, centre = maps[:, axis, axis], maps[:, axis, 2]
            assert (half + centre.abs()).max() <= 1 + 1e-6


def test_pad_rotate_scale_is_the_published_chain(smooth_photo: Callable[..., Tensor]) -> None:
    size = 32
    image = smooth_photo(size)
    maps = _draw("pad_rotate_scale", 5)
    ours = warp(image.expand(5, -1, -1, -1), maps, size, "zeros")
    for matrix, result in zip(maps, ours, strict=True):
        degrees = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))
        assert abs(degrees) <= 15
        chain = TF.resize(image, [2 * size, 2 * size], antialias=True)
        chain = TF.rotate(TF.pad(chain, 18), degrees, interpolation=InterpolationMode.BILINEAR)
        chain = TF.resize(TF.center_crop(chain, [72, 72]), [size, size], antialias=True)[0]
        # The border between image and black is a pixel wide and its blur differs; elsewhere both agree.
        assert (result - chain).abs().median() < 0.002
        assert (result - chain).abs().mean() < 0.02
        assert (result[:, 8:24, 8:24] - chain[:, 8:24, 8:24]).abs().max() < 0.01

"""Digits 4 and 9 with their shifts, and which pairs of them are called similar (Hadsell et al. 2006)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.benchmark.sources import Rows
from backend.evaluation.features import nearest

DIGITS = ("4", "9")
SHIFTS = (-6, -3, 0, 3, 6)
SIDE, MARGIN_PX = 28, 6
NEIGHBOURS = 5


@dataclass(frozen=True)
class Shifted:
    """Digits with every shift.

    Attributes:
        images: (n, S, H, W) float32 in 0..1, S shifts.
        classes: (n,) 0 or 1.
    """

    images: Tensor
    classes: Rows

    def flat(self) -> tuple[Rows, Rows, Rows]:
        """Image, shift and class of each of the n * S pictures, image by image."""
        count, shifts = self.images.shape[:2]
        image = np.repeat(np.arange(count), shifts)
        return image, np.tile(np.arange(shifts), count), self.classes[image]


def shift_digits(pixels: NDArray[np.uint8], classes: Rows) -> Shifted:
    """Every shift of (n, 28, 28) digits, on a frame wide enough that nothing is cut off."""
    framed = np.pad(pixels, ((0, 0), (MARGIN_PX, MARGIN_PX), (MARGIN_PX, MARGIN_PX)))
    moved = np.stack([np.roll(framed, shift, axis=2) for shift in SHIFTS], axis=1)
    return Shifted(torch.from_numpy(moved).float().div_(255), classes)


def deslanted(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, H, W) digits sheared so that rows and columns of their ink are uncorrelated (LeCun et al. 1998)."""
    from scipy.ndimage import affine_transform

    y, x = np.mgrid[: images.shape[1], : images.shape[2]]
    upright = np.empty_like(images)
    for image, out in zip(images, upright, strict=True):
        ink = image / max(float(image.sum()), 1e-9)
        middle = float((ink * y).sum())
        below, beside = y - middle, x - float((ink * x).sum())
        slant = float((ink * below * beside).sum()) / max(float((ink * below**2).sum()), 1e-9)
        affine_transform(image, [[1, 0], [slant, 1]], [0, -slant * middle], output=out, order=1)
    return upright


Pictures = tuple[NDArray[np.intp], NDArray[np.intp]]
"""(B,) images and (B,) shifts."""


class Pairs:
    """Draws similar pairs: an image's five nearest neighbours, by pixels of upright digits.

    Args:
        data: training digits.
        any_shift: whether neighbours are similar whatever their shifts, and an image's own shifts too.
    """

    def __init__(self, data: Shifted, any_shift: bool) -> None:
        count, self.any_shift = len(data.images), any_shift
        flat = deslanted(data.images[:, SHIFTS.index(0)].numpy()).reshape(count, -1)
        self.similar = nearest(flat, flat, NEIGHBOURS, skip_self=True)[1]
        linked = np.zeros((count, count), bool)
        linked[np.arange(count)[:, None], self.similar] = True
        self.linked = linked | linked.T | np.eye(count, dtype=bool)

    def draw(self, size: int, rng: np.random.Generator) -> tuple[Pictures, Pictures]:
        """A batch of similar pairs."""
        image, shift = rng.integers(len(self.similar), size=size), rng.integers(len(SHIFTS), size=size)
        near = self.similar[image, rng.integers(NEIGHBOURS, size=size)]
        if not self.any_shift:
            return (image, shift), (near, shift)
        own = rng.random(size) < 1 / (NEIGHBOURS + 1)
        return (image, shift), (np.where(own, image, near), rng.integers(len(SHIFTS), size=size))

    def dissimilar(self, first: Pictures, second: Pictures) -> tuple[Tensor, Tensor]:
        """(B, B) bool, twice: dissimilar pairs that only their images tell apart, and that shifts do."""
        unlinked = ~self.linked[first[0][:, None], second[0]]
        moved = first[1][:, None] != second[1]
        if self.any_shift:
            moved = np.zeros_like(moved)
        return torch.from_numpy(unlinked & ~moved), torch.from_numpy(moved)

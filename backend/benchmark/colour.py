"""Colour histograms of fruit, and a way to choose among them with normal fruit alone.

``hsv_histogram`` is the naive reference. ``joint_histogram`` counts hue, saturation and value together, and
only in the middle of the crop, where the fruit is. How much of the crop is the middle is chosen by
``choose_window``: the size that best tells validation fruit from the same fruit with a patch of another
normal fruit pasted onto them (after Li et al. 2021, "CutPaste: self-supervised learning for anomaly
detection and localization"). No anomalous fruit has a say.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.oneclass import anomaly_scores
from backend.evaluation.ranking import auroc_and_average_precision

Images = NDArray[np.uint8]
Histograms = NDArray[np.float32]

WINDOWS = (1.0, 0.75, 0.625, 0.5)
"""Sides of the middle that are tried, in sides of the crop."""

BINS = (16, 8, 8)
"""Of hue, saturation and value."""

_PASTES = 3
_PATCH = (0.1, 0.3)
"""Least and greatest side of a pasted patch, in sides of the crop."""


def to_hsv(images: Images) -> Images:
    """(n, H, W, 3) RGB to hue, saturation and value, 0 to 255 each."""
    from PIL import Image

    return np.stack([np.asarray(Image.fromarray(image).convert("HSV")) for image in images])


def hsv_histogram(images: Images, bins: int = 16) -> Histograms:
    """Shares of hue, saturation and value one beside the other: (n, H, W, 3) RGB to (n, 3 * bins)."""
    levels = to_hsv(images).astype(np.intp) * bins // 256 + bins * np.arange(3)
    return _shares(levels.reshape(len(images), -1), 3 * bins) * 3


def joint_histogram(hsv: Images, window: float = 1.0, bins: tuple[int, int, int] = BINS) -> Histograms:
    """Square roots of the shares of joint colours in the middle of the image.

    Euclidean distances between square roots are Hellinger distances: they do not let the few commonest
    colours rule.

    Args:
        hsv: (n, H, W, 3), from ``to_hsv``.
        window: side of the middle in sides of the image, above 0 to 1.
        bins: of hue, saturation and value.

    Returns:
        (n, product of bins), rows of length 1.
    """
    middle = _middle(hsv, window).astype(np.intp)
    hue, saturation, value = (middle[..., i] * bins[i] // 256 for i in range(3))
    joint = (hue * bins[1] + saturation) * bins[2] + value
    return np.sqrt(_shares(joint.reshape(len(hsv), -1), int(np.prod(bins))))


def _middle(images: Images, window: float) -> Images:
    side = images.shape[1]
    edge = round(side * (1 - window) / 2)
    return images[:, edge : side - edge, edge : side - edge]


def _shares(levels: NDArray[np.intp], bins: int) -> Histograms:
    """(n, pixels) bin numbers to (n, bins) shares."""
    counted = [np.bincount(row, minlength=bins) for row in levels]
    return (np.stack(counted) / levels.shape[1]).astype(np.float32)


def cut_paste(images: Images, rng: np.random.Generator) -> Images:
    """Each image with a rectangle of another image of the batch pasted into its inner half."""
    pasted = images.copy()
    side = images.shape[1]
    for number, image in enumerate(pasted):
        height, width = (int(size) for size in np.maximum(1, rng.uniform(*_PATCH, 2) * side))
        source = images[(number + 1 + rng.integers(len(images) - 1)) % len(images)]
        top, left = rng.integers(side - height + 1), rng.integers(side - width + 1)
        # The patch's centre lies in the inner half: on the fruit rather than on the leaves around it.
        y, x = (round(rng.uniform(0.25, 0.75) * side - size / 2) for size in (height, width))
        y, x = max(0, min(y, side - height)), max(0, min(x, side - width))
        image[y : y + height, x : x + width] = source[top : top + height, left : left + width]
    return pasted


def choose_window(
    train: Images, validation: Images, *, k: int, seed: int
) -> tuple[float, dict[float, float]]:
    """The window that finds pasted patches best.

    Args:
        train: (n, H, W, 3) RGB of normal training fruit.
        validation: (m, H, W, 3) of other normal fruit, at least two.
        k: neighbours.
        seed: of the patches.

    Returns:
        The window, and each one's AUROC.
    """
    rng = np.random.default_rng(seed)
    pasted = np.concatenate([cut_paste(validation, rng) for _ in range(_PASTES)])
    known, whole, damaged = to_hsv(train), to_hsv(validation), to_hsv(pasted)
    strange = np.repeat([0.0, 1.0], [len(whole), len(damaged)])
    found = {}
    for window in WINDOWS:
        query = np.concatenate([joint_histogram(part, window) for part in (whole, damaged)])
        score = anomaly_scores(joint_histogram(known, window), query, k=k)
        found[window] = auroc_and_average_precision(strange, score)[0]
    return max(found, key=lambda window: found[window]), found

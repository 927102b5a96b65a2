"""What pretraining draws from: every image of every fruit, and who is whose partner.

A sample is one view of one fruit in every modality, so that registered sensors are augmented together. Where
sensors have other views, or more of them, no picture is left out: another view stands in for the one that a
sensor lacks. Samples are sorted by class and fruit; so all candidates for a partner stand side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.augment.pipeline import to_float
from backend.config import derive_seed
from backend.errors import ConfigError
from backend.methods.base import UNLABELLED, PretrainBatch
from backend.training.feed import FruitFeed

IntArray = NDArray[np.int64]


class _Runs:
    """Where equal neighbours of a sorted array begin and end."""

    def __init__(self, keys: IntArray) -> None:
        edges = np.flatnonzero(np.diff(keys)) + 1
        self.starts = np.concatenate([[0], edges])
        self.ends = np.concatenate([edges, [len(keys)]])

    def around(self, chosen: IntArray) -> tuple[IntArray, IntArray]:
        """First and one past the last position of the run around each chosen position."""
        run = np.searchsorted(self.starts, chosen, side="right") - 1
        return self.starts[run], self.ends[run]


class SamplePool:
    """(fruit, view) samples and their partners.

    Args:
        present: modality to (N, V) bool over the whole data set.
        views: modality to its view names.
        fruit: rows of the data set that may be used.
        positives: as in ``MethodConfig``; what a partner is.
        classes: (N,) class of each row of the data set, ``UNLABELLED`` where it is not known; or None.
        registered: only views that every modality has, for methods that compare the sensors of a sample.

    Attributes:
        fruit: (S,) row of the data set that each sample shows.
        columns: modality to (S,) number of the sample's view in that modality.
        classes: (S,) class of each sample, or None.

    Raises:
        ConfigError: fewer than two samples.
    """

    def __init__(
        self,
        present: dict[str, NDArray[np.bool_]],
        views: dict[str, tuple[str, ...]],
        fruit: IntArray,
        positives: str,
        classes: IntArray | None = None,
        *,
        registered: bool = False,
    ) -> None:
        shown = tuple(dict.fromkeys(name for names in views.values() for name in names))
        if registered:
            shown = tuple(name for name in shown if all(name in names for names in views.values()))
        column = {modality: _numbers(shown, names) for modality, names in views.items()}
        fruit = np.unique(fruit)
        if classes is not None:
            fruit = fruit[np.argsort(classes[fruit], kind="stable")]
        there = np.ones((len(fruit), len(shown)), dtype=bool)
        for modality, numbers in column.items():
            there &= present[modality][fruit][:, numbers]
        row, view = np.nonzero(there)
        if len(row) < 2:
            raise ConfigError(
                f"{len(row)} images with all of {', '.join(views)}",
                where="pretraining pool",
                expected="2 or more",
                action="add fruit, or narrow --modalities",
            )
        self.fruit: IntArray = fruit[row]
        self.columns: dict[str, IntArray] = {modality: numbers[view] for modality, numbers in column.items()}
        self.classes = None if classes is None else classes[self.fruit]
        self._positives = positives
        self._fruit_runs = _Runs(self.fruit)
        self._class_runs = None if self.classes is None else _Runs(self.classes)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.fruit)

    def blocks(self, samples: IntArray, groups: Sequence[str], size: int) -> Blocks | None:
        """Blocks of samples by pallet; None where they would be no larger than 1 or no pallet has two fruit.

        Args:
            samples: numbers of the samples in use.
            groups: the pallet of each row of the data set.
            size: see ``Blocks``.
        """
        fruit = self.fruit[samples]
        pallets, number = np.unique(np.asarray(groups)[fruit], return_inverse=True)
        if size == 1 or len(pallets) == len(np.unique(fruit)):
            return None
        return Blocks(number.astype(np.int64), size)

    def limited(self, count: int, seed: int) -> IntArray:
        """Numbers of at most ``count`` samples, drawn at random, in order."""
        everything = np.arange(len(self))
        if count >= len(self):
            return everything
        rng = np.random.default_rng(derive_seed(seed, "limit"))
        return np.sort(rng.choice(everything, size=count, replace=False))

    def partners(self, chosen: IntArray, rng: np.random.Generator) -> IntArray:
        """A partner for each chosen sample; itself where it has no other.

        Args:
            chosen: (B,) numbers of samples.
            rng: of the draw.

        Returns:
            (B,) numbers of samples.
        """
        if self._positives in ("augment", "modalities"):
            return chosen
        fruit = self._fruit_runs.around(chosen)
        if self._positives == "views":
            return _draw_outside(fruit, (chosen, chosen + 1), rng)
        if self._positives == "fruit":
            return _draw_outside(fruit, (chosen, chosen), rng)
        assert self.classes is not None and self._class_runs is not None, "positives 'class' without classes"
        drawn = _draw_outside(self._class_runs.around(chosen), fruit, rng)
        outside = (drawn < fruit[0]) | (drawn >= fruit[1])
        # A fruit alone in its class, or without a label, is compared with itself.
        return np.where((self.classes[chosen] == UNLABELLED) | ~outside, chosen, drawn)


def _numbers(shown: tuple[str, ...], views: tuple[str, ...]) -> IntArray:
    """The number of each shown view among the views of one sensor; those it lacks go round all it has."""
    numbers = [views.index(name) if name in views else i % len(views) for i, name in enumerate(shown)]
    return np.array(numbers, dtype=np.int64)


def _draw_outside(
    group: tuple[IntArray, IntArray], block: tuple[IntArray, IntArray], rng: np.random.Generator
) -> IntArray:
    """A position of each group outside the block within it; the block's start where nothing is left."""
    free = (group[1] - group[0]) - (block[1] - block[0])
    offset = (rng.random(len(free)) * free).astype(np.int64)
    drawn = group[0] + offset
    drawn += np.where(drawn >= block[0], block[1] - block[0], 0)
    return np.where(free > 0, drawn, block[0])


@dataclass(frozen=True)
class Blocks:
    """Samples that stand together in a step because they come from one pallet.

    The light and the belt of a pallet tell its fruit from all others: with negatives drawn from everywhere a
    contrastive method learns the pallet and then has nothing left to learn. Negatives of the same pallet are
    told apart by the fruit alone.

    Attributes:
        groups: (S,) number of the pallet of each sample in use.
        size: samples of a block; the last one of a pallet is as long as it comes.
    """

    groups: IntArray
    size: int

    def gather(self, order: IntArray, rng: np.random.Generator) -> IntArray:
        """``order`` with the samples of each block next to each other, the blocks in random order."""
        by_group = order[np.argsort(self.groups[order], kind="stable")]
        runs = _Runs(self.groups[by_group])
        first, _ = runs.around(np.arange(len(by_group)))
        block = first + (np.arange(len(by_group)) - first) // self.size  # a number that no other pallet has
        place = rng.permutation(len(by_group))[block]
        return by_group[np.argsort(place, kind="stable")]


class EpochOrder:
    """Shuffled steps; an epoch's order depends on (seed, epoch) alone, so that any epoch can be resumed.

    Args:
        samples: numbers of the samples to use.
        batch_size: samples a step; clamped to the number of samples.
        seed: of the order.
        parts: equal parts that a step is cut into, one for each device.
        blocks: which samples stand together; None = none.

    Raises:
        ConfigError: fewer than two samples for each part.
    """

    def __init__(
        self, samples: IntArray, batch_size: int, seed: int, parts: int = 1, blocks: Blocks | None = None
    ) -> None:
        self.samples = samples
        self._blocks = blocks
        # Contrasts and BatchNorm need two samples at least.
        size = max(2 * parts, min(batch_size, len(samples)))
        self.batch_size = size - size % parts
        if self.batch_size > len(samples):
            raise ConfigError(
                f"{len(samples)} images for {parts} devices",
                where="pretraining pool",
                expected="two for each or more",
                action="use fewer devices",
            )
        self._seed = seed

    @property
    def steps(self) -> int:
        """Steps an epoch; an incomplete last batch is left out."""
        return len(self.samples) // self.batch_size

    def epoch(self, number: int) -> Iterator[tuple[IntArray, np.random.Generator]]:
        """For each step of epoch ``number``: positions in ``samples``, and the epoch's generator."""
        rng = np.random.default_rng(derive_seed(self._seed, "order", number))
        order = rng.permutation(len(self.samples))
        if self._blocks is not None:
            order = self._blocks.gather(order, rng)
        for step in range(self.steps):
            yield order[step * self.batch_size : (step + 1) * self.batch_size], rng


class SampleFeed:
    """Batches of samples and partners on a device.

    Args:
        feed: pixels.
        pool: samples.
        samples: numbers of the samples in use; batches are asked for by position in it.
    """

    def __init__(self, feed: FruitFeed, pool: SamplePool, samples: IntArray) -> None:
        self.feed, self.pool, self.samples = feed, pool, samples

    def _long(self, values: IntArray) -> Tensor:
        return torch.from_numpy(values).to(self.feed.device, non_blocking=True)

    def images(self, sample: IntArray) -> dict[str, Tensor]:
        """Modality to (B, C, H, W) floats of the samples in 0..1, their memory channels_last."""
        fruit = self.pool.fruit[sample]
        return {
            name: to_float(self.feed.pixels(fruit, name, self.pool.columns[name][sample]))
            for name in self.feed.images
        }

    def spread(self, count: int) -> dict[str, Tensor]:
        """The images of at most ``count`` samples, evenly spaced; the same ones each time."""
        positions = np.linspace(0, len(self.samples) - 1, min(count, len(self.samples)))
        return self.images(self.samples[positions.astype(np.int64)])

    def batch(self, chosen: IntArray, rng: np.random.Generator, part: slice = slice(None)) -> PretrainBatch:
        """The samples at positions ``chosen``, and partners drawn with ``rng``.

        Args:
            chosen: of the whole step.
            rng: of the draw, the same on every device.
            part: which of the samples to deliver; partners do not depend on it.
        """
        everyone = self.samples[chosen]
        drawn = self.pool.partners(everyone, rng)
        chosen, sample = chosen[part], everyone[part]
        partner = sample if drawn is everyone else drawn[part]
        anchors = self.images(sample)
        classes = self.pool.classes
        return PretrainBatch(
            anchor=anchors,
            partner=anchors if partner is sample else self.images(partner),
            fruit=self._long(self.pool.fruit[sample]),
            partner_fruit=self._long(self.pool.fruit[partner]),
            sample=self._long(chosen),
            labels=None if classes is None else self._long(classes[sample]),
        )

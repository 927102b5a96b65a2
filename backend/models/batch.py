"""One batch of fruit, as every network takes it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class FruitBatch:
    """B fruit.

    Attributes:
        images: modality to (B, V, C, H, W) float in 0..1; absent views hold zeros.
        present: modality to (B, V) bool.
        pressure: (B, P) float readings as in the manifest, 0 where missing; P may be 0.
        pressure_present: (B, P) bool.
        labels: (B, D) float 0, 1 or NaN.
        index: (B,) long, row of the data set.
    """

    images: dict[str, Tensor]
    present: dict[str, Tensor]
    pressure: Tensor
    pressure_present: Tensor
    labels: Tensor
    index: Tensor

    def __len__(self) -> int:
        """Number of fruit."""
        return int(self.index.shape[0])

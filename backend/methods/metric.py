"""What the metric-learning methods share: one small embedding head, and masks from fruit and classes."""

from __future__ import annotations

from torch import Tensor, nn

from backend.methods.base import PretrainBatch
from backend.methods.two_view import TwoViewMethod


class MetricMethod(TwoViewMethod):
    """An embedding of ``output_dim`` numbers behind the encoder, linear as in the early papers."""

    def make_projector(self, features: int) -> nn.Module:
        """One linear layer."""
        return nn.Linear(features, self.hyper("output_dim", int))


def negatives(batch: PretrainBatch) -> Tensor:
    """(B, B) bool: True where partner j is a negative of anchor i, of another fruit and another class."""
    count = len(batch)
    return ~batch.same_thing()[:count, count:]

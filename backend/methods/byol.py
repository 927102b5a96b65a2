"""BYOL. Grill et al. 2020, "Bootstrap your own latent", arXiv:2006.07733."""

from __future__ import annotations

from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import BYOLPredictionHead, BYOLProjectionHead
from torch import Tensor

from backend.methods.base import PretrainBatch
from backend.methods.momentum import MomentumMethod
from backend.methods.registry import JOINT_EMBEDDING, MethodInfo, Range, register_method
from backend.methods.two_view import View

_negative_cosine = NegativeCosineSimilarity()


def symmetric_cosine_loss(
    first_prediction: Tensor, second_prediction: Tensor, first_target: Tensor, second_target: Tensor
) -> Tensor:
    """Each prediction against the other view's target: SimSiam equation 4, BYOL equation 2 up to 2 - 2x.

    Args:
        first_prediction: (B, D).
        second_prediction: (B, D).
        first_target: (B, D) without gradient.
        second_target: (B, D) without gradient.

    Returns:
        Scalar from -1 (both views agree) to 1.
    """
    forth: Tensor = _negative_cosine(first_prediction, second_target)
    back: Tensor = _negative_cosine(second_prediction, first_target)
    return (forth + back) / 2


@register_method(
    MethodInfo(
        name="byol",
        family=JOINT_EMBEDDING,
        paper="Grill et al. 2020, Bootstrap your own latent",
        description="predict the slow encoder's view of the same image; no negatives",
        defaults={"momentum": 0.99, "hidden_dim": 1024, "output_dim": 256},
        search={"momentum": (0.97, 0.99, 0.996), "learning_rate": Range(2e-4, 4e-3, log=True)},
        paper_policy="byol",
    )
)
class BYOL(MomentumMethod):
    """The student predicts the teacher's projection of the other view."""

    projector_class = BYOLProjectionHead

    def build(self) -> None:
        """A predictor behind each student."""
        super().build()
        width, hidden = self.hyper("output_dim", int), self.hyper("hidden_dim", int)
        self.predictors = self.for_each(lambda name: BYOLPredictionHead(width, hidden, width))

    def predict(self, name: str, projection: Tensor) -> Tensor:
        """The predictor breaks the symmetry that would let both branches collapse."""
        prediction: Tensor = self.predictors[name](projection)
        return prediction

    def pair_loss(self, first: View, second: View, batch: PretrainBatch) -> Tensor:
        """Equation 2, both ways."""
        return symmetric_cosine_loss(first.prediction, second.prediction, first.target, second.target)

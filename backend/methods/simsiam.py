"""SimSiam. Chen and He 2021, "Exploring simple Siamese representation learning", arXiv:2011.10566."""

from __future__ import annotations

import torch
from lightly.models.modules.heads import SimSiamPredictionHead, SimSiamProjectionHead
from torch import Tensor

from backend.methods.base import PretrainBatch
from backend.methods.byol import symmetric_cosine_loss
from backend.methods.registry import JOINT_EMBEDDING, MethodInfo, Range, register_method
from backend.methods.two_view import TwoViewMethod, View


@register_method(
    MethodInfo(
        name="simsiam",
        family=JOINT_EMBEDDING,
        paper="Chen and He 2021, Exploring simple Siamese representation learning",
        description="predict the other view through a stopped gradient; no negatives, no slow encoder",
        defaults={"hidden_dim": 512, "output_dim": 512, "bottleneck_dim": 128},
        search={"bottleneck_dim": (64, 128, 256), "learning_rate": Range(2e-4, 4e-3, log=True)},
        paper_policy="simclr",
    )
)
class SimSiam(TwoViewMethod):
    """BYOL without the momentum branch."""

    projector_class = SimSiamProjectionHead

    def build(self) -> None:
        """A predictor behind each projector."""
        super().build()
        width, hidden = self.hyper("output_dim", int), self.hyper("bottleneck_dim", int)
        self.predictors = self.for_each(lambda name: SimSiamPredictionHead(width, hidden, width))

    def encode(self, name: str, first: Tensor, second: Tensor) -> tuple[View, View]:
        """Projection, prediction, and the projection once more with its gradient stopped."""
        projection = self.projectors[name](self.encoders[name](torch.cat([first, second])))
        prediction = self.predictors[name](projection).float().chunk(2)
        projected = projection.float().chunk(2)
        one, two = (View(name, projected[i], prediction[i], projected[i].detach()) for i in range(2))
        return one, two

    def pair_loss(self, first: View, second: View, batch: PretrainBatch) -> Tensor:
        """Equation 4."""
        return symmetric_cosine_loss(first.prediction, second.prediction, first.target, second.target)

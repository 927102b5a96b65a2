"""Methods that compare two views of one thing: SimCLR and its relatives, and the metric losses.

Both views pass an encoder in one concatenated forward: faster than two, at the price that they share
BatchNorm statistics (parity with separate forwards is measured in docs/results.md).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.methods.base import Method, PretrainBatch, average, gathered


@dataclass(frozen=True)
class View:
    """One view of B samples behind an encoder and its heads.

    Attributes:
        encoder: the encoder that saw it; it names heads and queues.
        projection: (B, D) output of the projection head.
        prediction: (B, D) output of a predictor behind it, where the method has one, else ``projection``.
        target: (B, D) output of the momentum branch or stopped gradient, where the method has one, else
            ``projection``.
    """

    encoder: str
    projection: Tensor
    prediction: Tensor
    target: Tensor

    def gathered(self) -> View:
        """The same of the samples of all devices that share a training."""
        return View(self.encoder, gathered(self.projection), gathered(self.prediction), gathered(self.target))


class TwoViewMethod(Method):
    """Two augmented views, a projection head for each encoder, and a loss on pairs of views.

    Attributes:
        projector_class: built as (features, hidden width, output width); lightly's heads are.
    """

    projector_class: ClassVar[type[nn.Module]]

    def build(self) -> None:
        """A projection head behind each encoder."""
        super().build()
        self.projectors = self.for_each(lambda name: self.make_projector(self.feature_dim(name)))

    def make_projector(self, features: int) -> nn.Module:
        """The projection head behind an encoder with that many features.

        Hyper-parameter ``hidden_dim`` 0 = as wide as the features.
        """
        hidden = self.hyper("hidden_dim", int) or features
        return self.projector_class(features, hidden, self.hyper("output_dim", int))

    @abstractmethod
    def pair_loss(self, first: View, second: View, batch: PretrainBatch) -> Tensor:
        """The loss of a pair of views.

        Args:
            first: of the anchors.
            second: of the partners, from another encoder where positives are ``modalities``.
            batch: for masks.
        """

    def pairing(self) -> list[tuple[str, str]]:
        """Which encoder's first view meets which encoder's second view."""
        names = list(self.encoders)
        if self.config.positives == "modalities":
            return list(zip(names, names[1:] + names[:1], strict=True))
        return list(zip(names, names, strict=True))

    def encode(self, name: str, first: Tensor, second: Tensor) -> tuple[View, View]:
        """Both views of encoder ``name``, in one forward."""
        features = self.encoders[name](torch.cat([first, second]))
        one, two = self.projectors[name](features).float().chunk(2)
        return View(name, one, one, one), View(name, two, two, two)

    def loss(self, batch: PretrainBatch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss over the pairing, and the mean cosine similarity of positives."""
        first = self.inputs(self.augmenter(batch.anchor, generator))
        second = self.inputs(self.augmenter(batch.partner, generator, second_view=True))
        views = {name: self.encode(name, first[name], second[name]) for name in self.encoders}
        losses, similarities = [], []
        batch = batch.gathered()
        with torch.autocast(batch.fruit.device.type, enabled=False):
            for one, two in self.pairing():
                a, b = views[one][0].gathered(), views[two][1].gathered()
                losses.append(self.pair_loss(a, b, batch))
                similarities.append(F.cosine_similarity(a.projection.detach(), b.target.detach()).mean())
        return average(losses), {"positive_similarity": torch.stack(similarities).mean()}

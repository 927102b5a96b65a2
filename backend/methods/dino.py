"""DINO. Caron et al. 2021, "Emerging properties in self-supervised vision transformers", arXiv:2104.14294.

With two global crops and no local ones: the images of this project are small, and a local crop of 48 px
would show skin and nothing else.
"""

from __future__ import annotations

import warnings

from lightly.loss import DINOLoss
from lightly.models.modules.heads import DINOProjectionHead
from torch import Tensor, nn

from backend.methods.base import PretrainBatch
from backend.methods.momentum import MomentumMethod
from backend.methods.registry import JOINT_EMBEDDING, MethodInfo, Range, register_method
from backend.methods.two_view import View

_WARM_UP = 0.1
"""Share of the training in which the teacher sharpens and the output layer stands still (1 and 30 of 300
epochs in the paper; short trainings need the same share for both)."""
_COLDEST = 0.04


@register_method(
    MethodInfo(
        name="dino",
        family=JOINT_EMBEDDING,
        paper="Caron et al. 2021, Emerging properties in self-supervised vision transformers",
        description="match the slow encoder's soft cluster assignment of the other view",
        defaults={
            "momentum": 0.99,
            "student_temperature": 0.1,
            "teacher_temperature": 0.06,
            "center_momentum": 0.9,
            "hidden_dim": 512,
            "bottleneck_dim": 256,
            "output_dim": 1024,
        },
        search={
            "momentum": (0.97, 0.99, 0.996),
            "teacher_temperature": Range(0.04, 0.07),
            "learning_rate": Range(2e-4, 4e-3, log=True),
        },
        paper_policy="byol",
    )
)
class DINO(MomentumMethod):
    """Self-distillation with a centred and sharpened teacher."""

    def build(self) -> None:
        """A loss for each encoder, for it holds and moves the centre."""
        super().build()
        self.losses = self.for_each(
            lambda name: DINOLoss(
                self.hyper("output_dim", int),
                student_temp=self.hyper("student_temperature", float),
                center_momentum=self.hyper("center_momentum", float),
            )
        )

    def make_projector(self, features: int) -> nn.Module:
        """Three layers with BatchNorm, then weight-normalised prototypes."""
        with warnings.catch_warnings():
            # lightly uses torch's older weight norm, which works and warns.
            warnings.simplefilter("ignore", FutureWarning)
            head: nn.Module = DINOProjectionHead(
                features,
                self.hyper("hidden_dim", int),
                self.hyper("bottleneck_dim", int),
                self.hyper("output_dim", int),
                batch_norm=True,
            )
        return head

    def set_progress(self, step: int, steps: int) -> None:
        """Hold the prototypes still while the training warms up (section 5.1 of the authors' code)."""
        super().set_progress(step, steps)
        for head in self.projectors.values():
            assert isinstance(head, DINOProjectionHead)
            head.last_layer.weight_v.requires_grad_(self.progress >= _WARM_UP)

    def teacher_temperature(self) -> float:
        """Rises linearly from 0.04 while the training warms up."""
        final = self.hyper("teacher_temperature", float)
        return _COLDEST + (final - _COLDEST) * min(1.0, self.progress / _WARM_UP)

    def pair_loss(self, first: View, second: View, batch: PretrainBatch) -> Tensor:
        """Equation 3 over two global views; the pair of a view with itself is left out."""
        loss: Tensor = self.losses[second.encoder](
            [first.target, second.target],
            [first.projection, second.projection],
            teacher_temp=self.teacher_temperature(),
        )
        return loss

"""The momentum branch that MoCo, BYOL and DINO share: a slow copy of encoders and heads gives the targets."""

from __future__ import annotations

import copy

import torch
from lightly.models.utils import deactivate_requires_grad, update_momentum
from lightly.utils.scheduler import cosine_schedule
from torch import Tensor

from backend.methods.two_view import TwoViewMethod, View


class MomentumMethod(TwoViewMethod):
    """Targets come from teachers that follow the students by an exponential moving average.

    The average's factor rises from hyper-parameter ``momentum`` to 1 along a cosine (BYOL, section 3.3).
    """

    def build(self) -> None:
        """A slow copy of encoders and projectors."""
        super().build()
        self.teacher_encoders = copy.deepcopy(self.encoders)
        self.teacher_projectors = self.for_each(lambda name: self.make_projector(self.feature_dim(name)))
        self.teacher_projectors.load_state_dict(self.projectors.state_dict())
        deactivate_requires_grad(self.teacher_encoders)
        deactivate_requires_grad(self.teacher_projectors)

    @torch.no_grad()
    def teach(self, name: str, images: Tensor) -> Tensor:
        """The teacher's projections of (N, C, H, W) images."""
        features = self.teacher_encoders[name](images)
        projection: Tensor = self.teacher_projectors[name](features)
        return projection.float()

    def predict(self, name: str, projection: Tensor) -> Tensor:
        """What the student compares with the teacher; the projection itself unless there is a predictor."""
        return projection

    def encode(self, name: str, first: Tensor, second: Tensor) -> tuple[View, View]:
        """Students and teachers see both views, each in one forward."""
        images = torch.cat([first, second])
        target = self.teach(name, images).chunk(2)
        projected = self.projectors[name](self.encoders[name](images))
        prediction = self.predict(name, projected).float().chunk(2)
        projection = projected.float().chunk(2)
        one, two = (View(name, projection[i], prediction[i], target[i]) for i in range(2))
        return one, two

    def after_step(self) -> None:
        """Move the teachers towards the students."""
        factor = cosine_schedule(self.step, self.steps, self.hyper("momentum", float), 1.0)
        update_momentum(self.encoders, self.teacher_encoders, factor)
        update_momentum(self.projectors, self.teacher_projectors, factor)

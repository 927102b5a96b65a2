"""How the views of one fruit become one embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

APART = "apart"
"""The pooling that keeps each view in its own place."""


class ViewPooling(nn.Module):
    """Masked pooling of (B, V, F) view features to (B, ``width``); a fruit without any view gives zeros.

    ``mean``, ``max`` and ``attention`` (the gated attention of Ilse, Tomczak and Welling 2018, equation 9)
    take views for interchangeable. ``apart`` does not: views are laid side by side, so that what shows from
    one side alone is not buried under the noise of the others; an absent view counts as the mean of the rest.

    Attributes:
        width: F, or V * F with views apart.
    """

    def __init__(self, kind: str, features: int, views: int) -> None:
        super().__init__()
        self.kind = kind
        self.width = features * views if kind == APART else features
        if kind == "attention":
            hidden = max(features // 4, 8)
            self.value = nn.Linear(features, hidden)
            self.gate = nn.Linear(features, hidden)
            self.weight = nn.Linear(hidden, 1)

    def forward(self, features: Tensor, present: Tensor) -> Tensor:
        """Pool the present views."""
        mask = present.unsqueeze(-1)
        if self.kind == "max":
            pooled = features.masked_fill(~mask, float("-inf")).amax(dim=1)
            return torch.where(present.any(dim=1, keepdim=True), pooled, torch.zeros_like(pooled))
        if self.kind == "attention":
            score = self.weight(torch.tanh(self.value(features)) * torch.sigmoid(self.gate(features)))
            score = score.masked_fill(~mask, -1e4)
            return (torch.softmax(score, dim=1) * features * mask).sum(dim=1)
        mean = (features * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1)
        if self.kind == APART:
            return torch.where(mask, features, mean.unsqueeze(1)).flatten(1)
        return mean

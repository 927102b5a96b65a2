"""How the views of one fruit become one answer: as pooled features, or each view asked on its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EVIDENCE = "evidence"
"""The pooling that asks each view on its own: ``ViewEvidence``."""
SHARPNESS = 4.0
"""Of the smooth maximum: 0 would be the mean of the views, infinity their maximum."""


class ViewPooling(nn.Module):
    """Masked pooling of (B, V, F) view features to (B, F); a fruit without any view gives zeros.

    ``attention`` is the gated attention of Ilse, Tomczak and Welling 2018, equation 9.
    """

    def __init__(self, kind: str, features: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "attention":
            hidden = max(features // 4, 8)
            self.value = nn.Linear(features, hidden)
            self.gate = nn.Linear(features, hidden)
            self.weight = nn.Linear(hidden, 1)

    def forward(self, features: Tensor, present: Tensor) -> Tensor:
        """Pool the present views."""
        mask = present.unsqueeze(-1)
        some = present.any(dim=1, keepdim=True)
        if self.kind == "max":
            pooled = features.masked_fill(~mask, float("-inf")).amax(dim=1)
            return torch.where(some, pooled, torch.zeros_like(pooled))
        if self.kind == "attention":
            score = self.weight(torch.tanh(self.value(features)) * torch.sigmoid(self.gate(features)))
            score = score.masked_fill(~mask, -1e4)
            return (torch.softmax(score, dim=1) * features * mask).sum(dim=1)
        return (features * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1)


class ViewEvidence(nn.Module):
    """Multiple-instance pooling of (B, V, D) view logits to (B, D): a defect is there if one view shows it.

    The smooth maximum log(sum_v p_v exp(r z_v)) / r (Pinheiro and Collobert 2015, "From image-level to
    pixel-level labeling with convolutional networks", equation 6), with a learned share p_v of each view in
    each defect: some defects show from one side only, and the noise of the other views then need not be
    learned around. All shares are equal at first; absent views have none.
    A fruit without any view gives 0.

    Args:
        views: V.
        outputs: D.
    """

    def __init__(self, views: int, outputs: int) -> None:
        super().__init__()
        self.prior = nn.Parameter(torch.zeros(views, outputs))

    def forward(self, logits: Tensor, present: Tensor) -> Tensor:
        """Join the present views."""
        absent = ~present.unsqueeze(-1)
        # Finite, so that a fruit without any view has a gradient, of zero.
        prior = (SHARPNESS * self.prior).expand_as(logits).masked_fill(absent, -1e4)
        joined = torch.logsumexp(torch.log_softmax(prior, dim=1) + SHARPNESS * logits, dim=1) / SHARPNESS
        return joined * present.any(dim=1, keepdim=True)

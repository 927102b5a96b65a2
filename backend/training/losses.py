"""Classification losses for partly labelled fruit: cross-entropy or focal, weighted or not."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

MAX_WEIGHT = 20.0
"""No label counts more than this, however rare: a single odd fruit must not steer the model."""
FOCAL_GAMMA = 2.0


def positive_weights(labels: NDArray[np.float32]) -> Tensor:
    """(D,) negatives for each positive, 1 to ``MAX_WEIGHT``, from (n, D) training labels."""
    positive = np.nansum(labels == 1, axis=0)
    negative = np.nansum(labels == 0, axis=0)
    return torch.from_numpy(np.clip(negative / np.maximum(positive, 1), 1, MAX_WEIGHT).astype(np.float32))


def class_weights(labels: NDArray[np.float32]) -> Tensor:
    """(D,) inverse class frequencies with mean 1 over the fruit, at most ``MAX_WEIGHT``."""
    counts = np.maximum(np.nansum(labels == 1, axis=0), 1)
    weights = counts.sum() / (len(counts) * counts)
    return torch.from_numpy(np.clip(weights, None, MAX_WEIGHT).astype(np.float32))


def multilabel_loss(
    logits: Tensor, labels: Tensor, weight: Tensor | None = None, gamma: float = 0.0
) -> Tensor:
    """Binary cross-entropy over the known labels, focal where ``gamma`` > 0.

    Args:
        logits: (B, D).
        labels: (B, D) 0, 1 or NaN.
        weight: (D,) factor on positives.
        gamma: focusing parameter of Lin et al. 2017, equation 4.

    Returns:
        Scalar; 0 where no label is known.
    """
    known = ~torch.isnan(labels)
    target = torch.where(known, labels, torch.zeros_like(labels))
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=weight)
    if gamma > 0:
        probability = torch.sigmoid(logits)
        correct = torch.where(target > 0.5, probability, 1 - probability)
        loss = loss * (1 - correct) ** gamma
    return (loss * known).sum() / known.sum().clamp_min(1)


def multiclass_loss(
    logits: Tensor, labels: Tensor, weight: Tensor | None = None, gamma: float = 0.0
) -> Tensor:
    """Softmax cross-entropy over the labelled fruit, focal where ``gamma`` > 0.

    Args:
        logits: (B, D).
        labels: (B, D) one-hot, or a row of NaN.
        weight: (D,) factor on each class.
        gamma: focusing parameter of Lin et al. 2017, equation 4.

    Returns:
        Scalar; 0 where no fruit is labelled.
    """
    known = ~torch.isnan(labels).any(dim=1)
    if not bool(known.any()):
        return logits.sum() * 0.0
    log_probability = F.log_softmax(logits[known], dim=1)
    target = labels[known].argmax(dim=1)
    log_correct = log_probability.gather(1, target.unsqueeze(1)).squeeze(1)
    loss = -log_correct
    if gamma > 0:
        loss = loss * (1 - log_correct.exp()) ** gamma
    factor = torch.ones_like(loss) if weight is None else weight[target]
    return (loss * factor).sum() / factor.sum()


class ClassificationLoss(nn.Module):
    """The loss of one fold, its weights from the training labels.

    Args:
        task: ``multilabel`` or ``multiclass``.
        imbalance: ``none``, ``sampler`` (no weights, the order balances), ``weighted`` or ``focal``.
        labels: (n, D) of the training part.
    """

    weight: Tensor | None

    def __init__(self, task: str, imbalance: str, labels: NDArray[np.float32]) -> None:
        super().__init__()
        self.multilabel = task == "multilabel"
        self.gamma = FOCAL_GAMMA if imbalance == "focal" else 0.0
        weights = positive_weights(labels) if self.multilabel else class_weights(labels)
        self.register_buffer("weight", weights if imbalance == "weighted" else None)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch."""
        function = multilabel_loss if self.multilabel else multiclass_loss
        return function(logits.float(), labels, self.weight, self.gamma)


def probabilities(logits: Tensor, task: str) -> Tensor:
    """(B, D) probabilities: independent for defects, adding up to 1 for classes."""
    return torch.sigmoid(logits) if task == "multilabel" else torch.softmax(logits, dim=1)

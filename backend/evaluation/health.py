"""Is a representation healthy, or has it collapsed to a point or a few directions?

All take embeddings (n, F) as numpy arrays or torch tensors (moved to the CPU here) and return a number:

- ``embedding_std``: standard deviation per dimension of length-normalised embeddings, averaged, times
  sqrt(F): 1 for evenly spread directions, 0 when collapsed (Chen & He 2021, "Exploring simple siamese
  representation learning", section 4.1);
- ``effective_rank``: exp of the entropy of the normalised singular values, 1 to min(n, F) (Roy & Vetterli
  2007, "The effective rank"; used for SSL as RankMe, Garrido et al. 2023);
- ``alignment_loss``: mean squared distance of positive pairs on the sphere, 0 to 4;
- ``uniformity_loss``: log of the mean of exp(-2 d^2) over pairs, from about -4 (uniform) to 0 (a point)
  (both Wang & Isola 2020, "Understanding contrastive representation learning through alignment and
  uniformity on the hypersphere", section 4, alpha = 2, t = 2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.features import row_blocks

COLLAPSED_STD = 0.05
COLLAPSED_RANK = 1.5
_ROWS = 2048


def _unit(embeddings: Any) -> NDArray[np.float64]:
    if hasattr(embeddings, "detach"):
        embeddings = embeddings.detach().float().cpu().numpy()
    z = np.asarray(embeddings, dtype=np.float64)
    lengths = np.linalg.norm(z, axis=1, keepdims=True)
    unit: NDArray[np.float64] = z / np.where(lengths > 0, lengths, 1)
    return unit


def embedding_std(embeddings: Any) -> float:
    """Spread of (n, F) embeddings around their mean direction, 0 (collapsed) to about 1."""
    z = _unit(embeddings)
    return float(z.std(axis=0).mean() * np.sqrt(z.shape[1]))


def effective_rank(embeddings: Any) -> float:
    """How many directions (n, F) embeddings use, 1 to min(n, F); 0 if all are zero, NaN if not finite."""
    z = _unit(embeddings)
    if not np.isfinite(z).all():  # on which the decomposition would fail
        return float("nan")
    singular = np.linalg.svd(z, compute_uv=False)
    total = singular.sum()
    if total == 0:
        return 0.0
    p = singular / total
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def alignment_loss(embeddings: Any, positives: Any) -> float:
    """Mean squared distance of (n, F) embeddings to their positives (n, F), both normalised; 0 to 4."""
    difference = _unit(embeddings) - _unit(positives)
    return float(np.einsum("ij,ij->i", difference, difference).mean())


def uniformity_loss(embeddings: Any, t: float = 2.0) -> float:
    """Log mean Gaussian potential over all pairs of distinct rows of (n, F); NaN for fewer than two rows."""
    z = _unit(embeddings)
    n = len(z)
    if n < 2:
        return float("nan")
    total = 0.0
    for rows in row_blocks(n, n):
        total += float(np.exp(-2 * t * (1 - z[rows] @ z.T)).sum())
    # Each row met itself once, with potential 1.
    return float(np.log((total - n) / (n * (n - 1))))


def health(embeddings: Any, positives: Any = None) -> dict[str, float]:
    """Every measure of one batch or data set; at most 2,048 rows, evenly taken, are looked at.

    Args:
        embeddings: (n, F), at least two rows.
        positives: (n, F) embeddings of the positives; without them there is no alignment.
    """
    rows = slice(None, None, -(-len(embeddings) // _ROWS))
    values = {
        "embedding_std": embedding_std(embeddings[rows]),
        "effective_rank": effective_rank(embeddings[rows]),
        "uniformity_loss": uniformity_loss(embeddings[rows]),
    }
    if positives is not None:
        values["alignment_loss"] = alignment_loss(embeddings[rows], positives[rows])
    return values


def collapse_reason(values: dict[str, float]) -> str:
    """Why the measures of ``health`` mean collapse, in words; empty for a healthy representation."""
    if not all(np.isfinite(value) for value in values.values()):
        return "the embeddings are not finite"
    if values["embedding_std"] < COLLAPSED_STD:
        return f"all embeddings are nearly alike (spread {values['embedding_std']:.3f}, healthy is near 1)"
    if values["effective_rank"] < COLLAPSED_RANK:
        return f"the embeddings lie on a line (effective rank {values['effective_rank']:.2f})"
    return ""

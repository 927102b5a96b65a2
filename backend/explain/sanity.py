"""Does a map depend on what the model has learned? The parameter randomisation test.

Adebayo et al. 2018, "Sanity Checks for Saliency Maps": a map that looks the same after all weights were drawn
anew shows edges of the picture, not the model. Rank correlation near 0 is good, near 1 is bad.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch

from backend.explain.score import Floats, View
from backend.models.network import FruitNetwork, Normalise


def randomised(model: FruitNetwork, seed: int) -> FruitNetwork:
    """A copy of the network with every learned weight drawn anew; the statistics of the input stay.

    Args:
        model: the trained network.
        seed: of the draw.
    """
    twin = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in twin.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset) and not isinstance(module, Normalise):
                reset()
    return twin.eval()


def rank_correlation(a: Mapping[View, Floats], b: Mapping[View, Floats]) -> float:
    """Spearman's correlation of two sets of maps of one fruit, all views and sensors together.

    Args:
        a: view to map.
        b: the same views.

    Returns:
        -1 to 1; NaN where one of them is the same everywhere, so that it ranks nothing.
    """
    from scipy.stats import rankdata

    ranks = [rankdata(np.concatenate([maps[view].ravel() for view in a])) for maps in (a, b)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])

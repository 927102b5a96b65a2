"""Pairs of embeddings and tiny images that the tests of losses and methods share."""

import pytest
import torch
import torch.nn.functional as F


@pytest.fixture
def pair():
    """Two (6, 5) projections of six things, alike but not equal, float64 for exact oracles."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(6, 5, generator=generator, dtype=torch.float64)
    return first, first + 0.3 * torch.randn(6, 5, generator=generator, dtype=torch.float64)


@pytest.fixture
def itself():
    """(12, 12) bool: only the diagonal of six things and their partners is no negative but itself."""

    def build(count, fruit=None):
        fruit = torch.arange(count) if fruit is None else torch.as_tensor(fruit)
        twice = fruit.repeat(2)
        return twice.unsqueeze(0) == twice.unsqueeze(1)

    return build


@pytest.fixture
def smooth_images():
    """(n, c, s, s) random images without pixel noise, in 0..1."""

    def build(count, channels, side, seed=0):
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(count, channels, 4, 4, generator=generator)
        return F.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)

    return build


@pytest.fixture
def gradients_flow():
    """Check that a loss gives every row of every input a finite gradient that is not zero."""

    def check(function, *inputs):
        leaves = [x.detach().clone().requires_grad_() for x in inputs]
        function(*leaves).backward()
        for leaf in leaves:
            assert torch.isfinite(leaf.grad).all()
            assert (leaf.grad.abs().sum(dim=1) > 0).all()

    return check

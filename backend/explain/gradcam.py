"""Grad-CAM without hooks, for a network of several sensors and views.

Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization". The
encoders run without a graph up to the stage that is explained; from there one forward pass and one
``autograd.grad`` give the gradient of each fruit's own logit with respect to the feature maps of all its
views and sensors at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.models.batch import FruitBatch
from backend.models.network import EARLY, FruitNetwork, ImageEncoder

LEAST_SIDE = 12
"""Least side, in positions, of the feature map that ``default_stage`` picks."""
SMOOTHING = 0.08
"""Standard deviation of the blur over a local map, as a share of its side: about one position of twelve."""

GATE = 0.7
"""Share of its peak from which on a deeper map lets a finer one through."""
FAINT = 1e-3
"""What is left of a finer map elsewhere, at most."""

ClassMapOf = Callable[[Tensor, Tensor], Tensor]
"""(N, C, h, w) feature maps and the logit's gradient with respect to them to (N, h, w) evidence."""


@dataclass(frozen=True)
class ClassMaps:
    """Where the network sees evidence for one defect of each fruit.

    Attributes:
        maps: image modality to (B, V, h, w), 0 or more, comparable between views and sensors; an absent view
            is all 0. With early fusion the sensors share one map.
        logits: (B, D) of the same forward pass.
    """

    maps: dict[str, Tensor]
    logits: Tensor


def map_sides(model: FruitNetwork, resolution: int) -> tuple[int, ...]:
    """Side of the feature map after each stage of the encoders, for images of ``resolution`` pixels."""
    encoder = model.encoder(next(iter(model.encoders)))
    image = encoder.normalise.mean.view(1, -1, 1, 1).expand(-1, -1, resolution, resolution)
    training = encoder.training
    with torch.no_grad():
        sides = tuple(int(maps.shape[-1]) for maps in encoder.eval().feature_maps(image))
    encoder.train(training)
    return sides


def default_stage(model: FruitNetwork, resolution: int) -> int:
    """The deepest stage whose feature map has at least ``LEAST_SIDE`` positions a side, for ``local_cam``.

    Depth knows what, positions know where: at 48 px the last stage of a ResNet has 3 x 3 positions, a third
    of the fruit each. Never the first stage where there are more: it knows edges.

    On planted fruit at 32 px the hottest point lay on 98 and 76 % of a colour cast and a streak (43 and 33
    fruit found) by the second stage, on 100 and 48 % by the first, on 98 and 73 % by the third.
    """
    sides = map_sides(model, resolution)
    fine = [stage for stage, side in enumerate(sides) if side >= LEAST_SIDE]
    return max(fine[-1] if fine else 0, min(1, len(sides) - 1))


def grad_cam(model: FruitNetwork, batch: FruitBatch, targets: Tensor, stage: int = -1) -> ClassMaps:
    """Grad-CAM: a channel weighs as much as the mean of its gradient (equations 1 and 2).

    Args:
        model: in evaluation mode, or one fruit's map depends on the others.
        batch: B fruit.
        targets: (B,) long, which of the D logits to explain.
        stage: which feature map, an index of ``Backbone.stages``; -1 = the last.

    Returns:
        The maps at the resolution of that stage; none where the network has no image sensor.
    """
    return _explain(model, batch, targets, (stage,), _mean_weighted)[0]


def local_cam(
    model: FruitNetwork, batch: FruitBatch, targets: Tensor, stage: int, smoothing: float = SMOOTHING
) -> ClassMaps:
    """Grad-CAM for stages before the last: each position weighs by its own gradient, neighbours are pooled.

    Before the last stage a gradient differs from place to place, and its mean puts the weight of one place on
    all others; the product at each position does not (HiResCAM: Draelos and Carin 2020, "Use HiResCAM instead
    of Grad-CAM"). It is noisier, hence the blur. At a last stage that is averaged over all positions both are
    the same but for the blur.

    Args:
        model: in evaluation mode.
        batch: B fruit.
        targets: (B,) long, which of the D logits to explain.
        stage: an index of ``Backbone.stages``, e.g. from ``default_stage``.
        smoothing: see ``SMOOTHING``; 0 = none.
    """
    return local_cams(model, batch, targets, (stage,), smoothing)[0]


def local_cams(
    model: FruitNetwork,
    batch: FruitBatch,
    targets: Tensor,
    stages: Sequence[int],
    smoothing: float = SMOOTHING,
) -> list[ClassMaps]:
    """``local_cam`` of several stages, the first one first, in one pass; arguments as there."""

    def class_map(activations: Tensor, gradients: Tensor) -> Tensor:
        evidence = (activations * gradients).sum(dim=1)
        return _blur(evidence, smoothing * evidence.shape[-1]).relu_()

    return _explain(model, batch, targets, stages, class_map)


def _explain(
    model: FruitNetwork, batch: FruitBatch, targets: Tensor, stages: Sequence[int], class_map: ClassMapOf
) -> list[ClassMaps]:
    """One forward pass that keeps feature maps of each encoder, one gradient, a map a view and stage."""
    kept: dict[str, list[Tensor]] = {}
    features: dict[str, tuple[Tensor, Tensor]] = {}
    with torch.enable_grad():
        for name, (images, present) in model.encoder_inputs(batch).items():
            seen = images.flatten(0, 1)[present.flatten()]
            kept[name], found = _through(model.encoder(name), seen, stages)
            features[name] = _scatter(found, present), present
        logits = model.classify(features, batch)
        chosen = logits.gather(1, targets.unsqueeze(1)).sum()
        leaves = [maps for of_encoder in kept.values() for maps in of_encoder]
        gradients = iter(torch.autograd.grad(chosen, leaves) if leaves else ())
    class_maps = {
        name: [_scatter(class_map(maps.detach(), next(gradients)), features[name][1]) for maps in of_encoder]
        for name, of_encoder in kept.items()
    }
    found_at = []
    for place in range(len(stages)):
        maps = {name: of_encoder[place] for name, of_encoder in class_maps.items()}
        if model.fused:
            maps = {name: _only_present(maps[EARLY], batch.present[name]) for name in model.modalities}
        found_at.append(ClassMaps(maps, logits.detach()))
    return found_at


def within_deeper(maps: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The first map where all deeper ones are near their peak: depth knows which mark, the first stage where.

    A fine map alone may be hottest on an outline that the network looks at beside the mark; a deep one knows
    the mark but not its place. (Fusing layers: Jiang et al. 2021, "LayerCAM"; gating is this project's.)

    Args:
        maps: for each stage, the first one finest, modality to (B, V, S, S) of one resolution.

    Returns:
        Modality to (B, V, S, S). Outside the gates next to nothing is left, in the order of before.
    """
    fine, *deeper = maps
    found = dict(fine)
    for coarse in deeper:
        top = torch.stack([value.flatten(1).amax(dim=1) for value in coarse.values()]).amax(dim=0)
        for name, value in coarse.items():
            share = value / top.clamp_min(torch.finfo(value.dtype).tiny)[:, None, None, None]
            found[name] = found[name] * torch.where(share >= GATE, 1.0, FAINT * share)
    return found


def _mean_weighted(activations: Tensor, gradients: Tensor) -> Tensor:
    weights = gradients.mean(dim=(2, 3))
    return torch.einsum("nc,nchw->nhw", weights, activations).relu_()


def _blur(maps: Tensor, sigma: float) -> Tensor:
    """(N, h, w) maps under a Gaussian of ``sigma`` positions; beyond the border there is no evidence."""
    if sigma <= 0:
        return maps
    reach = max(1, round(3 * sigma))
    place = torch.arange(-reach, reach + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-(place**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    across = F.conv2d(maps.unsqueeze(1), kernel.view(1, 1, 1, -1), padding=(0, reach))
    return F.conv2d(across, kernel.view(1, 1, -1, 1), padding=(reach, 0)).squeeze(1)


def _through(encoder: ImageEncoder, images: Tensor, stages: Sequence[int]) -> tuple[list[Tensor], Tensor]:
    """The feature maps of (N, C, H, W) images after each of ``stages``, rising, and the (N, F) features.

    The graph begins at the first of these maps.
    """
    modules = list(encoder.backbone.stages)
    wanted = [range(len(modules))[stage] for stage in stages]
    with torch.no_grad():
        maps = encoder.backbone.stem(encoder.normalise(images))
        for module in modules[: wanted[0] + 1]:
            maps = module(maps)
    kept = [maps.requires_grad_()]
    for place, module in enumerate(modules[wanted[0] + 1 :], start=wanted[0] + 1):
        maps = module(maps)
        if place in wanted:
            kept.append(maps)
    return kept, maps.mean(dim=(2, 3))


def _scatter(values: Tensor, present: Tensor) -> Tensor:
    """(N, ...) values of the present views to (B, V, ...), zeros where a view is absent."""
    chosen = present.flatten().nonzero().squeeze(1)
    everywhere = values.new_zeros(present.numel(), *values.shape[1:]).index_copy(0, chosen, values)
    return everywhere.unflatten(0, (present.shape[0], present.shape[1]))


def _only_present(maps: Tensor, present: Tensor) -> Tensor:
    return maps * present[:, :, None, None]

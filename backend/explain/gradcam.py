"""Grad-CAM without hooks, for a network of several sensors and views.

Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization". The
encoders run without a graph up to the stage that is explained; from there one forward pass and one
``autograd.grad`` give the gradient of each fruit's own logit with respect to the feature maps of all its
views and sensors at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from backend.models.batch import FruitBatch
from backend.models.network import EARLY, FruitNetwork, ImageEncoder

LEAST_SIDE = 6
"""Least side, in positions, of the feature map that is explained by default; see ``default_stage``."""


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
    """The deepest stage whose feature map has at least ``LEAST_SIDE`` positions a side.

    Depth knows what, positions know where: at 48 px the last stage of a ResNet has 3 x 3 positions, a third
    of the fruit each. The finest stage where none is that large.
    """
    fine = [stage for stage, side in enumerate(map_sides(model, resolution)) if side >= LEAST_SIDE]
    return fine[-1] if fine else 0


def grad_cam(model: FruitNetwork, batch: FruitBatch, targets: Tensor, stage: int = -1) -> ClassMaps:
    """Explain one logit of each fruit.

    Args:
        model: in evaluation mode, or one fruit's map depends on the others.
        batch: B fruit.
        targets: (B,) long, which of the D logits to explain.
        stage: which feature map, an index of ``Backbone.stages``; -1 = the last.

    Returns:
        The maps at the resolution of that stage; none where the network has no image sensor.
    """
    kept: dict[str, Tensor] = {}
    features: dict[str, tuple[Tensor, Tensor]] = {}
    with torch.enable_grad():
        for name, (images, present) in model.encoder_inputs(batch).items():
            encoder = model.encoder(name)
            kept[name] = _maps_after(encoder, images.flatten(0, 1)[present.flatten()], stage)
            features[name] = _scatter(_features_from(encoder, kept[name], stage), present), present
        logits = model.head(model.dropout(model.fuse(features, batch)))
        chosen = logits.gather(1, targets.unsqueeze(1)).sum()
        gradients = torch.autograd.grad(chosen, list(kept.values())) if kept else ()
    maps = {
        name: _scatter(_class_map(kept[name].detach(), gradient), features[name][1])
        for name, gradient in zip(kept, gradients, strict=True)
    }
    if EARLY in maps:
        maps = {name: _only_present(maps[EARLY], batch.present[name]) for name in model.modalities}
    return ClassMaps(maps, logits.detach())


def _class_map(activations: Tensor, gradients: Tensor) -> Tensor:
    """(N, C, h, w) feature maps and the logit's gradient with respect to them to (N, h, w) evidence.

    A channel weighs as much as the mean of its gradient (equation 1); evidence against the class is cut off
    (equation 2).
    """
    weights = gradients.mean(dim=(2, 3))
    return torch.einsum("nc,nchw->nhw", weights, activations).relu_()


def _maps_after(encoder: ImageEncoder, images: Tensor, stage: int) -> Tensor:
    """The feature map after ``stage`` of (N, C, H, W) images, as the leaf of a new graph."""
    stages = list(encoder.backbone.stages)
    with torch.no_grad():
        maps = encoder.backbone.stem(encoder.normalise(images))
        for module in stages[: range(len(stages))[stage] + 1]:
            maps = module(maps)
    return maps.requires_grad_()


def _features_from(encoder: ImageEncoder, maps: Tensor, stage: int) -> Tensor:
    """The rest of the encoder: feature maps after ``stage`` to (N, F) features, as ``Backbone.forward``."""
    stages = list(encoder.backbone.stages)
    for module in stages[range(len(stages))[stage] + 1 :]:
        maps = module(maps)
    return maps.mean(dim=(2, 3))


def _scatter(values: Tensor, present: Tensor) -> Tensor:
    """(N, ...) values of the present views to (B, V, ...), zeros where a view is absent."""
    chosen = present.flatten().nonzero().squeeze(1)
    everywhere = values.new_zeros(present.numel(), *values.shape[1:]).index_copy(0, chosen, values)
    return everywhere.unflatten(0, (present.shape[0], present.shape[1]))


def _only_present(maps: Tensor, present: Tensor) -> Tensor:
    return maps * present[:, :, None, None]

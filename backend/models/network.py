"""From the views of one fruit to its logits: encode, pool the views, fuse the sensors, classify.

Each image modality has its own backbone, its weights shared by the views of that modality. Views are
pooled, modalities fused late (concatenated), pressure goes through a small MLP. A missing view or reading
is masked, never invented: absent views do not pass the backbone, so they do not touch BatchNorm either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend.config import ModelConfig
from backend.errors import ConfigError
from backend.models.backbones import create_backbone
from backend.models.batch import FruitBatch
from backend.models.pooling import ViewPooling

EARLY = "early"
"""Name of the one encoder that sees all sensors stacked as channels; a sensor may be called that, too."""
_PRESSURE_WIDTH = 32


@dataclass(frozen=True)
class NetworkSpec:
    """What the data determine about a network.

    Attributes:
        channels: image modality to its number of channels.
        views: image modality to its number of views.
        readings: number of pressure readings P.
        outputs: number of logits D.
    """

    channels: dict[str, int]
    views: dict[str, int]
    readings: int
    outputs: int


class ByName(nn.ModuleDict):
    """Modules by the name of a sensor, any word at all: torch itself refuses some, like ``type``."""

    def __setitem__(self, key: str, module: nn.Module) -> None:
        """Keep ``module`` under ``key``."""
        self._modules[key] = module


class Normalise(nn.Module):
    """(x - mean) / std for each channel; the statistics travel with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((channels,), 0.5))
        self.register_buffer("std", torch.full((channels,), 0.25))

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Set (C,) mean and standard deviation, in the units of the input."""
        self.mean.copy_(mean)
        self.std.copy_(std.clamp_min(1e-3))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W) images or (N, C) readings."""
        shape = (1, -1) + (1,) * (x.dim() - 2)
        return (x - self.mean.view(shape)) / self.std.view(shape)


class ImageEncoder(nn.Module):
    """Normalisation and backbone of one modality: (N, C, H, W) in 0..1 to (N, F)."""

    def __init__(self, backbone: str, channels: int, *, imagenet: bool = False) -> None:
        super().__init__()
        self.normalise = Normalise(channels)
        self.backbone = create_backbone(backbone, channels, imagenet=imagenet)
        self.feature_dim = self.backbone.feature_dim

    def forward(self, images: Tensor) -> Tensor:
        """The features of each image."""
        return self.backbone(self.normalise(images))

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """The feature map of every stage."""
        return self.backbone.feature_maps(self.normalise(images))

    def stage_features(self, images: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """The average of each of these stages' feature maps, (N, c); -1 is what ``forward`` gives.

        Raises:
            ConfigError: the backbone has no such stage.
        """
        for layer in layers:
            self.backbone.require_stage(layer)
        maps = self.feature_maps(images)
        return [maps[layer].mean(dim=(2, 3)) for layer in layers]


class PressureEncoder(nn.Module):
    """Standardised readings and their presence to an embedding: (B, P) twice to (B, 32)."""

    def __init__(self, readings: int) -> None:
        super().__init__()
        self.normalise = Normalise(readings)
        self.layers = nn.Sequential(
            nn.Linear(2 * readings, _PRESSURE_WIDTH),
            nn.ReLU(inplace=True),
            nn.Linear(_PRESSURE_WIDTH, _PRESSURE_WIDTH),
            nn.ReLU(inplace=True),
        )
        self.feature_dim = _PRESSURE_WIDTH

    def forward(self, pressure: Tensor, present: Tensor) -> Tensor:
        """A missing reading counts as average, and the network is told that it is missing."""
        known = present.to(pressure.dtype)
        return self.layers(torch.cat([self.normalise(pressure) * known, known], dim=1))


class FruitNetwork(nn.Module):
    """The classifier: a batch of fruit to (B, D) logits.

    Args:
        config: the architecture.
        spec: what the data determine.

    Attributes:
        fused: whether one encoder, ``EARLY``, sees all image sensors.

    Raises:
        ConfigError: a modality that the data lack, or early fusion of sensors with different views.
    """

    def __init__(self, config: ModelConfig, spec: NetworkSpec) -> None:
        super().__init__()
        self.config = config
        self.modalities = config.image_modalities
        _check_inputs(config, spec)
        imagenet = config.init == "imagenet"
        channels = {name: spec.channels[name] for name in self.modalities}
        self.fused = config.fusion == "early" and len(channels) > 1
        if self.fused:
            channels = {EARLY: sum(channels.values())}
        self.encoders = ByName(
            {
                name: ImageEncoder(config.backbone, count, imagenet=imagenet)
                for name, count in channels.items()
            }
        )
        views = {name: spec.views[name] for name in self.modalities}
        if self.fused:
            views = {EARLY: max(views.values())}
        pooling = {
            name: ViewPooling(config.view_pooling, self.encoder(name).feature_dim, count)
            for name, count in views.items()
        }
        self.pooling = ByName(pooling)
        self.pressure = PressureEncoder(spec.readings) if config.uses_pressure else None
        self.embedding_dim = sum(pool.width for pool in pooling.values())
        self.embedding_dim += _PRESSURE_WIDTH if self.pressure else 0
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(self.embedding_dim, spec.outputs)

    def set_statistics(self, statistics: dict[str, tuple[Tensor, Tensor]]) -> None:
        """Set the (C,) mean and standard deviation of each image modality."""
        if self.fused:
            pairs = [statistics[name] for name in self.modalities]
            mean, std = (torch.cat(values) for values in zip(*pairs, strict=True))
            self.encoder(EARLY).normalise.set_statistics(mean, std)
            return
        for name in self.encoders:
            self.encoder(name).normalise.set_statistics(*statistics[name])

    def encoder(self, name: str) -> ImageEncoder:
        """The encoder of a modality, or of ``EARLY``."""
        encoder = self.encoders[name]
        assert isinstance(encoder, ImageEncoder)
        return encoder

    def encoder_inputs(self, batch: FruitBatch) -> dict[str, tuple[Tensor, Tensor]]:
        """What each encoder sees: name to ((B, V, C, H, W) images, (B, V) present)."""
        if not self.fused:
            return {name: (batch.images[name], batch.present[name]) for name in self.modalities}
        images = torch.cat([batch.images[name] for name in self.modalities], dim=2)
        present = torch.stack([batch.present[name] for name in self.modalities]).any(dim=0)
        return {EARLY: (images, present)}

    def view_features(self, batch: FruitBatch) -> dict[str, tuple[Tensor, Tensor]]:
        """Each encoder's features of each view: name to ((B, V, F), (B, V) present)."""
        (features,) = self.stage_view_features(batch, (-1,))
        return features

    def stage_view_features(
        self, batch: FruitBatch, layers: Sequence[int]
    ) -> list[dict[str, tuple[Tensor, Tensor]]]:
        """For each of ``layers`` what ``view_features`` is for the last, in one pass.

        Args:
            batch: B fruit.
            layers: stages of the backbone whose feature maps are averaged, counted as in a list.
        """
        found: list[dict[str, tuple[Tensor, Tensor]]] = [{} for _ in layers]
        for name, (images, present) in self.encoder_inputs(batch).items():
            stages = _encode_views(self.encoder(name), images, present, layers)
            for features, stage in zip(found, stages, strict=True):
                features[name] = stage, present
        return found

    def fuse(self, features: dict[str, tuple[Tensor, Tensor]], batch: FruitBatch) -> Tensor:
        """Pool the views and concatenate the sensors: (B, embedding_dim)."""
        parts = [self.pooling[name](value, present) for name, (value, present) in features.items()]
        if self.pressure is not None:
            parts.append(self.pressure(batch.pressure, batch.pressure_present))
        return torch.cat(parts, dim=1)

    def classify(self, features: dict[str, tuple[Tensor, Tensor]], batch: FruitBatch) -> Tensor:
        """From ``view_features``, and the readings of the batch, to (B, D) logits."""
        return self.head(self.dropout(self.fuse(features, batch)))

    def forward(self, batch: FruitBatch) -> Tensor:
        """(B, D) logits."""
        return self.classify(self.view_features(batch), batch)


def _encode_views(
    encoder: ImageEncoder, images: Tensor, present: Tensor, layers: Sequence[int]
) -> list[Tensor]:
    """The stages of the present views of (B, V, C, H, W) images, (B, V, F); absent views give zeros."""
    fruit, views = present.shape
    flat = images.flatten(0, 1)
    if bool(present.all()):
        return [stage.unflatten(0, (fruit, views)) for stage in encoder.stage_features(flat, layers)]
    chosen = present.flatten().nonzero().squeeze(1)
    if len(chosen) == 0 and tuple(layers) == (-1,):  # nothing must pass BatchNorm in training
        return [flat.new_zeros(fruit, views, encoder.feature_dim)]
    stages = []
    for found in encoder.stage_features(flat[chosen], layers):
        features = found.new_zeros(fruit * views, found.shape[1]).index_copy(0, chosen, found)
        stages.append(features.unflatten(0, (fruit, views)))
    return stages


def _check_inputs(config: ModelConfig, spec: NetworkSpec) -> None:
    for name in config.image_modalities:
        if name not in spec.channels:
            raise ConfigError(
                f"modality {name!r} is not in the data set",
                where="ModelConfig.modalities",
                expected=f"some of {', '.join(spec.channels)}",
                action="narrow --modalities",
            )
    if config.uses_pressure and spec.readings == 0:
        raise ConfigError(
            "modality 'pressure' is not in the data set",
            where="ModelConfig.modalities",
            expected="a pressure:<name> column in the manifest",
            action="narrow --modalities",
        )
    views = {spec.views[name] for name in config.image_modalities}
    if config.fusion == "early" and len(views) > 1:
        raise ConfigError(
            f"early fusion of sensors with {sorted(views)} views",
            where="ModelConfig.fusion",
            expected="the same views for every sensor",
            action="use late fusion",
        )

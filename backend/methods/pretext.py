"""What the pretext tasks share: one augmented view, a task head for each encoder, small patches, decoders."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from backend.errors import ConfigError
from backend.methods.base import Method, PretrainBatch, average, too_few_channels
from backend.models.network import ByName, ImageEncoder

ANCHOR_ONLY = ("augment",)
"""Pretext tasks look at the anchor alone, so nothing but its augmentation can be a positive."""


class PretextMethod(Method):
    """A task that an image sets about itself, solved by a head behind each encoder.

    Encoders whose images have too few channels for the task keep their weights; ``notes`` names them.
    """

    def build(self) -> None:
        """A task head behind each encoder that the task can be set for.

        Raises:
            ConfigError: there is no such encoder.
        """
        super().build()
        found = {name: self.channels(name) for name in self.encoders}
        self.usable = [name for name, count in found.items() if self.can_use(name, count)]
        if not self.usable:
            raise too_few_channels(self.info, found)
        self.notes = tuple(
            f"{self.info.name} left encoder {name} untrained: {count} channel"
            for name, count in found.items()
            if name not in self.usable
        )
        self.heads = ByName({name: self.make_head(name) for name in self.usable})

    def can_use(self, name: str, channels: int) -> bool:
        """Whether the task can be set on the images of encoder ``name``."""
        return channels >= self.info.min_channels

    @abstractmethod
    def make_head(self, name: str) -> nn.Module:
        """What solves the task from the features of encoder ``name``."""

    @abstractmethod
    def task_loss(
        self, name: str, images: dict[str, Tensor], batch: PretrainBatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Set the task and solve it.

        Args:
            name: the encoder to train.
            images: what each encoder sees, augmented.
            batch: for the samples' numbers.
            generator: of the task's own draws.

        Returns:
            The loss, and a detached score of the solution (accuracy where there are classes).
        """

    def loss(self, batch: PretrainBatch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss and score over the encoders."""
        images = self.inputs(self.augmenter(batch.anchor, generator))
        solved = [self.task_loss(name, images, batch, generator) for name in self.usable]
        scores = torch.stack([score for _, score in solved])
        return average([loss for loss, _ in solved]), {"task_score": scores.mean()}

    def encoder(self, name: str) -> ImageEncoder:
        """Encoder ``name``."""
        encoder = self.encoders[name]
        assert isinstance(encoder, ImageEncoder)
        return encoder

    def last_map(self, name: str, normalised: Tensor) -> Tensor:
        """The (B, F, h, w) last feature map of encoder ``name`` for images that are normalised already."""
        return self.encoder(name).backbone.feature_maps(normalised)[-1]

    @torch.no_grad()
    def map_side(self, name: str, side: int) -> int:
        """Side of the last feature map for square images of ``side`` pixels.

        Raises:
            ConfigError: the backbone cannot take images that small.
        """
        encoder = self.encoder(name)
        encoder.eval()
        probe = next(encoder.parameters()).new_zeros(1, self.channels(name), side, side)
        try:
            return int(self.last_map(name, probe).shape[-1])
        except RuntimeError as error:
            raise ConfigError(
                f"patches of {side} px are too small for the backbone",
                where=f"method {self.info.name} at {self.context.resolution} px",
                expected="a backbone for small images or a higher resolution",
                action="use resnet10_half, or raise the resolution",
            ) from error
        finally:
            encoder.train()


class PixelDecoder(nn.Module):
    """From a feature map to a denser map: one hidden layer, pixel shuffle, 3 x 3 convolution.

    As light as the one-layer decoder of SimMIM (Xie et al. 2022), so that the encoder has to do the work.

    Args:
        features: channels of the feature map.
        outputs: channels of the result.
        factor: how much denser the result is along each axis.
    """

    def __init__(self, features: int, outputs: int, factor: int) -> None:
        super().__init__()
        # Fewer channels where there are more pixels: the decoder must not outweigh the encoder.
        hidden = max(4, 128 // factor)
        self.layers = nn.Sequential(
            nn.Conv2d(features, hidden * factor**2, 1),
            nn.PixelShuffle(factor),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, outputs, 3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, F, h, w) to (B, outputs, h * factor, w * factor)."""
        result: Tensor = self.layers(features)
        return result


def crop_patches(images: Tensor, top: Tensor, left: Tensor, side: int) -> Tensor:
    """Cut P square patches from each image, each sample at places of its own.

    Args:
        images: (B, C, H, W).
        top: (B, P) long, first row of each patch.
        left: (B, P) long, first column.
        side: of a patch in pixels.

    Returns:
        (B * P, C, side, side), its memory channels_last.
    """
    pixel = torch.arange(side, device=images.device)
    rows = (top.unsqueeze(-1) + pixel).flatten(0, 1)[:, :, None]
    columns = (left.unsqueeze(-1) + pixel).flatten(0, 1)[:, None, :]
    sample = torch.arange(len(images), device=images.device).repeat_interleave(top.shape[1])
    return images.permute(0, 2, 3, 1)[sample[:, None, None], rows, columns].permute(0, 3, 1, 2)


def accuracy(logits: Tensor, target: Tensor) -> Tensor:
    """Share of (N, K) logits whose largest is at the (N,) target."""
    return (logits.detach().argmax(dim=1) == target).float().mean()

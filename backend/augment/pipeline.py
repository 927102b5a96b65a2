"""The augmentation of a batch: registered sensors, a draw for each sample, on the tensors' device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.augment.colour import RGB_CHANNELS
from backend.augment.geometry import warp
from backend.augment.policies import Step, resolve
from backend.augment.registry import PADDINGS, Geometry, get_operation
from backend.augment.sampling import Sampler
from backend.augment.stages import Draw, Prepared, Stage, bind, chosen_or_identity
from backend.config import AugmentConfig
from backend.errors import ConfigError, DataError

RGB = "rgb"

_CHUNK_VALUES = 1 << 19
"""Values that a CPU works on at a time: 2 MiB, so that what one step writes the next finds in its cache."""


def to_float(batch: Tensor) -> Tensor:
    """Pixels as they are stored to images as networks take them, in one new tensor.

    Args:
        batch: (B, H, W, C) uint8, 0 to 255.

    Returns:
        (B, C, H, W) float32 in [0, 1], channels last in memory, so nothing is moved.

    Raises:
        DataError: not 8-bit pixels.
    """
    if batch.dtype != torch.uint8 or batch.dim() != 4:
        raise DataError(
            f"pixels of type {batch.dtype} and shape {tuple(batch.shape)}",
            where="to_float",
            expected="uint8 of shape (B, H, W, C)",
        )
    # Convert, then divide in place: a division that converts on the way is 10 x slower on the CPU.
    return batch.permute(0, 3, 1, 2).to(torch.float32).div_(255)


@dataclass(frozen=True)
class _Geometry:
    """(B, 3, 3) maps of output to input points, and what lies outside the image."""

    maps: Tensor
    padding: str


class Augmenter:
    """Random changes of a batch of images of one or more registered sensors.

    The geometry of a policy is drawn once for each view, shared by all modalities and carried out first,
    as one warp. The other operations follow in the order of the policy: colour on RGB, sensor
    operations on everything else, pixel operations on each modality with draws of its own, patches at
    the same place in each. Draws depend on the generator's state alone.

    Args:
        config: which operations, how strong.
        resolution: side of the images that come out, in pixels. Others are resized; of images more than
            twice as large, a version of twice the size is used.
        always: give every sample every operation, whatever its probability: for contact sheets.

    Attributes:
        policy: the resolved policy.

    Raises:
        ConfigError: unknown policy, operation or magnitude.
    """

    def __init__(self, config: AugmentConfig, resolution: int, *, always: bool = False) -> None:
        """Find the operations and scale their magnitudes."""
        self.config = config
        self.resolution = resolution
        self.policy = resolve(config)
        self._always = always
        self._first = self._prepare(self.policy.view(second=False))
        self._second = self._prepare(self.policy.view(second=True))

    @torch.no_grad()
    def __call__(
        self,
        images: Mapping[str, Tensor],
        generator: torch.Generator,
        *,
        second_view: bool = False,
        groups_of: int = 1,
    ) -> dict[str, Tensor]:
        """Augment a batch.

        Args:
            images: modality to (B, C, H, W) float32 in [0, 1], the same B for each, any C, contiguous or
                channels last. They are not changed.
            generator: on the device of the images.
            second_view: use the second view's steps, where a policy treats the views differently.
            groups_of: V where the batch is fruit by fruit, V views each: the views of a fruit then share
                light (colour and sensor draws), and each has its own geometry.

        Returns:
            Modality to (B, C, resolution, resolution) float32 in [0, 1], in the memory format that came in.
            Where nothing is to be done these are the tensors that came in.

        Raises:
            ConfigError: images of another type or shape, or a batch that is no multiple of the group.
        """
        batch = _batch_size(images)
        steps = self._second if second_view else self._first
        per_view = Sampler(generator, batch)
        per_fruit = Sampler(generator, batch, groups_of)
        changed = {}
        # Autocast would turn the products of warp, blur and colour to half precision.
        with torch.autocast(generator.device.type, enabled=False):
            geometry = _draw_geometry(steps, per_view)
            patches = {step: step.draw(per_view) for step in steps if step.kind == "patch"}
            # Sorted, so that the draws do not depend on the order in which the caller names its sensors.
            for name in sorted(images):
                stages = _draw_stages(
                    steps,
                    name,
                    images[name].shape[1],
                    per_view=per_view,
                    per_fruit=per_fruit,
                    patches=patches,
                )
                changed[name] = self._carry_out(images[name], geometry, stages, generator)
        return {name: changed[name] for name in images}

    def _prepare(self, steps: tuple[Step, ...]) -> tuple[Prepared, ...]:
        if self.config.strength == 0:
            return ()
        prepared = []
        for step in steps:
            operation = get_operation(step.operation, "AugmentConfig.operations")
            usual = operation.info.probability if step.probability is None else step.probability
            probability = 1.0 if self._always and usual > 0 else usual
            magnitudes = operation.info.values(dict(step.magnitudes), self.config.strength)
            prepared.append(Prepared(operation, probability, magnitudes))
        return tuple(prepared)

    def _carry_out(
        self, images: Tensor, geometry: _Geometry | None, stages: list[Stage], generator: torch.Generator
    ) -> Tensor:
        size = self.resolution
        if geometry is None and not stages and images.shape[2:] == (size, size):
            return images
        batch, channels = images.shape[:2]
        last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
        result = torch.empty(
            (batch, channels, size, size),
            device=images.device,
            memory_format=torch.channels_last if last else torch.contiguous_format,
        )
        chunk = max(1, _CHUNK_VALUES // (channels * size * size)) if images.device.type == "cpu" else batch
        for start in range(0, batch, chunk):
            rows = slice(start, start + chunk)
            part = _place(images[rows], geometry, rows, size)
            for stage in stages:
                part = stage(part, rows, generator)
            result[rows] = part
        return result


def _draw_geometry(steps: tuple[Prepared, ...], sampler: Sampler) -> _Geometry | None:
    """Multiply the maps of all geometry steps; the first step is the first that the image meets."""
    maps, padding = None, PADDINGS[0]
    for step in steps:
        if isinstance(step.operation, Geometry):
            drawn = chosen_or_identity(step.draw(sampler), torch.eye(3))
            maps = drawn if maps is None else torch.bmm(maps, drawn)
            padding = max(padding, step.operation.padding, key=PADDINGS.index)
    return None if maps is None else _Geometry(maps, padding)


def _draw_stages(
    steps: tuple[Prepared, ...],
    modality: str,
    channels: int,
    *,
    per_view: Sampler,
    per_fruit: Sampler,
    patches: dict[Prepared, Draw],
) -> list[Stage]:
    """Draw everything but geometry for one modality; patches were drawn for all of them."""
    skipped = "sensor" if modality == RGB and channels == RGB_CHANNELS else "colour"
    draws = []
    for step in steps:
        if step.kind in ("geometry", skipped):
            continue
        sampler = per_view if step.kind == "pixel" else per_fruit
        draws.append((step.operation, patches.get(step) or step.draw(sampler, channels)))
    return bind(draws, gather=per_view.generator.device.type == "cpu")


def _place(images: Tensor, geometry: _Geometry | None, rows: slice, size: int) -> Tensor:
    """Warp or resize images into a new contiguous tensor of (n, C, size, size)."""
    if geometry is None:
        if images.shape[2:] == (size, size):
            return images.clone(memory_format=torch.contiguous_format)
        return _resize(images, size, size)
    height, width = (min(side, 2 * size) for side in images.shape[2:])
    if images.shape[2:] != (height, width):
        # Bilinear sampling sees two pixels a side, so anything beyond twice the size would alias.
        images = _resize(images, height, width)
    return warp(images, geometry.maps[rows], size, geometry.padding)


def _resize(images: Tensor, height: int, width: int) -> Tensor:
    resized = F.interpolate(images, (height, width), mode="bilinear", align_corners=False, antialias=True)
    return resized.contiguous()


def _batch_size(images: Mapping[str, Tensor]) -> int:
    """Check the images and return B."""
    sizes = {len(batch) for batch in images.values()}
    for name, batch in images.items():
        if batch.dim() != 4 or batch.dtype != torch.float32 or len(sizes) > 1:
            raise ConfigError(
                f"images of type {batch.dtype} and shape {tuple(batch.shape)}",
                where=f"Augmenter, modality {name!r}",
                expected="float32 of shape (B, C, H, W), the same B for each modality",
                action="convert stored pixels with backend.augment.pipeline.to_float",
            )
    return sizes.pop() if sizes else 0


def augment_views(
    augment: Augmenter, images: dict[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor]:
    """Augment (B, V, C, H, W) images of registered sensors, each view with a draw of its own.

    Sensors with the same views share the geometry; one with other views gets draws of its own.
    """
    result: dict[str, Tensor] = {}
    by_views: dict[int, list[str]] = {}
    for name, value in images.items():
        by_views.setdefault(value.shape[1], []).append(name)
    for views, names in by_views.items():
        flat = {name: images[name].flatten(0, 1) for name in names}
        for name, value in augment(flat, generator, groups_of=views).items():
            result[name] = value.unflatten(0, images[name].shape[:2])
    return {name: result[name] for name in images}

"""Image backbones by name: small ones for CPUs, torchvision's for everything else.

A ``Backbone`` is a chain of stages. Its output is the global average of the last stage's feature map,
before any head: that is what probes, kNN and fusion use. The feature map of every stage stays reachable,
for the per-layer probe and for Grad-CAM.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision import models as tv
from torchvision.models.resnet import BasicBlock, conv1x1

from backend.errors import ConfigError, unknown_name
from backend.models.small_maps import speed_up_small_maps


class Backbone(nn.Module):
    """A chain of convolutional stages with global average pooling.

    Args:
        stem: from the image to the first feature map.
        stages: the rest, in order; each maps a feature map to the next.
        feature_dim: channels of the last feature map.
    """

    def __init__(self, stem: nn.Module, stages: list[nn.Module], feature_dim: int) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.feature_dim = feature_dim

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """The feature map after each stage: (B, C, H, W) images to a list of (B, c, h, w)."""
        maps = []
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) images to (B, feature_dim) features."""
        return self.feature_maps(images)[-1].mean(dim=(2, 3))

    def require_stage(self, layer: int, where: str = "") -> None:
        """Refuse a stage that there is not.

        Args:
            layer: of the stages, counted as in a list.
            where: the option or field that held it.

        Raises:
            ConfigError: the backbone has no such stage.
        """
        n = len(self.stages)
        if not -n <= layer < n:
            raise ConfigError(
                f"layer {layer}",
                where=where,
                expected=f"{-n} to {n - 1}",
                action="pick a stage of the backbone",
            )


@dataclass(frozen=True)
class BackboneInfo:
    """A registered backbone.

    Attributes:
        name: as in configurations.
        description: one line.
        source: ``own`` or ``torchvision``.
        build: takes the channel count and whether to load ImageNet weights.
        bfloat16: whether CPUs may train it in bfloat16: faster there, and every gradient is written (a test).
    """

    name: str
    description: str
    source: str
    build: Callable[[int, bool], Backbone]
    bfloat16: bool = False


_REGISTRY: dict[str, BackboneInfo] = {}


def register_backbone(
    name: str, description: str, source: str, *, bfloat16: bool = False
) -> Callable[[Callable[[int, bool], Backbone]], Callable[[int, bool], Backbone]]:
    """Register a builder ``(in_channels, imagenet) -> Backbone`` under ``name``; a second one raises."""

    def decorate(build: Callable[[int, bool], Backbone]) -> Callable[[int, bool], Backbone]:
        if name in _REGISTRY:
            raise ValueError(f"backbone {name!r} is registered twice")
        _REGISTRY[name] = BackboneInfo(name, description, source, build, bfloat16)
        return build

    return decorate


def list_backbones() -> list[BackboneInfo]:
    """Every registered backbone, by name."""
    return [_REGISTRY[name] for name in sorted(_REGISTRY)]


def trains_in_bfloat16(name: str) -> bool:
    """Whether CPUs may train a registered backbone in bfloat16."""
    return _REGISTRY[name].bfloat16


def check_backbone(name: str, init: str = "random") -> None:
    """Raise a ``ConfigError`` unless ``name`` can be built with ``init``."""
    if name not in _REGISTRY:
        raise unknown_name("backbone", name, sorted(_REGISTRY))
    if init == "imagenet" and _REGISTRY[name].source != "torchvision":
        valid = [info.name for info in list_backbones() if info.source == "torchvision"]
        raise ConfigError(
            f"no ImageNet weights exist for backbone {name!r}",
            expected=f"one of {', '.join(valid)}",
            action="pick one of these or init = random",
        )


def create_backbone(name: str, in_channels: int, *, imagenet: bool = False) -> Backbone:
    """Build a backbone for images of any channel count.

    Args:
        name: a registered name.
        in_channels: channels of the images.
        imagenet: load torchvision's ImageNet weights. The first convolution is averaged over RGB and
            spread over the given channels, scaled so that activations keep their size.

    Raises:
        ConfigError: unknown name, or weights that cannot be had.
    """
    check_backbone(name, "imagenet" if imagenet else "random")
    backbone = _REGISTRY[name].build(in_channels, imagenet)
    if trains_in_bfloat16(name):
        speed_up_small_maps(backbone)
    return backbone


def _small_resnet(in_channels: int, depths: tuple[int, ...], width: int, stem_stride: int) -> Backbone:
    """A ResNet of basic blocks with a 3 x 3 stem and no max pooling, for images of 32 to 96 px."""
    stem = nn.Sequential(
        nn.Conv2d(in_channels, width, 3, stride=stem_stride, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )
    stages: list[nn.Module] = []
    channels = width
    for index, depth in enumerate(depths):
        planes, stride = width * 2**index, 1 if index == 0 else 2
        blocks = []
        for block in range(depth):
            step = stride if block == 0 else 1
            shortcut = None
            if step != 1 or channels != planes:
                shortcut = nn.Sequential(conv1x1(channels, planes, step), nn.BatchNorm2d(planes))
            blocks.append(BasicBlock(channels, planes, step, shortcut))
            channels = planes
        stages.append(nn.Sequential(*blocks))
    backbone = Backbone(stem, stages, channels)
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, BasicBlock):
            # He et al. 2019, "Bag of tricks": each residual branch starts as the identity.
            nn.init.zeros_(module.bn2.weight)
    return backbone


@register_backbone(
    "resnet10_half", "ResNet-10 at half width, 3 x 3 stem: the default on a CPU", "own", bfloat16=True
)
def _resnet10_half(in_channels: int, imagenet: bool) -> Backbone:
    return _small_resnet(in_channels, (1, 1, 1, 1), 32, 2)


@register_backbone("resnet10", "ResNet-10, 3 x 3 stem", "own", bfloat16=True)
def _resnet10(in_channels: int, imagenet: bool) -> Backbone:
    return _small_resnet(in_channels, (1, 1, 1, 1), 64, 2)


@register_backbone(
    "resnet18_small",
    "ResNet-18 for small images: 3 x 3 stem of stride 1 (CIFAR style)",
    "own",
    bfloat16=True,
)
def _resnet18_small(in_channels: int, imagenet: bool) -> Backbone:
    return _small_resnet(in_channels, (2, 2, 2, 2), 64, 1)


TORCHVISION_BACKBONES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "shufflenet_v2_x1_0",
    "efficientnet_b0",
    "convnext_tiny",
    "regnet_y_400mf",
    "densenet121",
)
_HEADS = ("fc", "classifier", "head", "heads", "avgpool")


def _torchvision_backbone(name: str, in_channels: int, imagenet: bool) -> Backbone:
    model = tv.get_model(name, weights=_imagenet_weights(name) if imagenet else None)
    _adapt_first_convolution(model, in_channels)
    parts = [part for key, part in model.named_children() if key not in _HEADS]
    if len(parts) == 1 and isinstance(parts[0], nn.Sequential):
        parts = list(parts[0])
    if name.startswith("densenet"):
        parts.append(nn.ReLU(inplace=True))  # applied by torchvision in forward, not as a module
    stem, stages = _split(parts, in_channels)
    with torch.no_grad():
        probe = nn.Sequential(stem, *stages).eval()
        feature_dim = probe(torch.zeros(1, in_channels, 64, 64)).shape[1]
        probe.train()
    return Backbone(stem, stages, feature_dim)


def _split(parts: list[nn.Module], in_channels: int) -> tuple[nn.Module, list[nn.Module]]:
    """Cut a chain of modules into a stem and one stage for each size of feature map."""
    groups: list[list[nn.Module]] = []
    x, side = torch.zeros(1, in_channels, 64, 64), 0
    with torch.no_grad():
        for part in parts:
            part.eval()
            x = part(x)
            part.train()
            if x.shape[-1] != side or not groups:
                groups.append([])
                side = x.shape[-1]
            groups[-1].append(part)
    return nn.Sequential(*groups[0]), [nn.Sequential(*group) for group in groups[1:]]


def _imagenet_weights(name: str) -> tv.WeightsEnum:
    weights = tv.get_model_weights(name).DEFAULT
    try:
        weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"the ImageNet weights of {name} cannot be had ({type(error).__name__})",
            expected=f"a way to {weights.url} or the file in {torch.hub.get_dir()}/checkpoints",
            action="go online once, copy the file there, or leave imagenet out of the plan",
        ) from error
    return weights


def _adapt_first_convolution(model: nn.Module, in_channels: int) -> None:
    """Give the first convolution ``in_channels`` inputs, keeping what it has learned about grey."""
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        if module.in_channels == in_channels:
            return
        first = nn.Conv2d(
            in_channels,
            module.out_channels,
            module.kernel_size,  # type: ignore[arg-type]
            module.stride,  # type: ignore[arg-type]
            module.padding,  # type: ignore[arg-type]
            bias=module.bias is not None,
        )
        with torch.no_grad():
            grey = module.weight.mean(dim=1, keepdim=True) * module.in_channels / in_channels
            first.weight.copy_(grey.expand_as(first.weight))
            if in_channels > 1:
                # Identical input planes would stay identical: random weights of the same spread part them.
                noise = torch.randn_like(first.weight) * module.weight.std() * 0.1
                first.weight.add_(noise)
            if first.bias is not None and module.bias is not None:
                first.bias.copy_(module.bias)
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], first)
        return


def _register_torchvision(name: str) -> None:
    description = f"torchvision's {name}, ImageNet weights possible"

    @register_backbone(name, description, "torchvision", bfloat16=name.startswith("resnet"))
    def build(in_channels: int, imagenet: bool) -> Backbone:
        return _torchvision_backbone(name, in_channels, imagenet)


for _name in TORCHVISION_BACKBONES:
    _register_torchvision(_name)

"""The networks of the papers, registered as backbones so that every method can train them.

They take part only where this module is imported: nothing but benchmarks uses them.
"""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

from backend.models.backbones import Backbone, register_backbone

CH_RAND = "ch_rand_cnn"
HAMMER = "hammer_cnn"
_SLOPE = 0.1
_FC = 256


class ChRandNetwork(Backbone):
    """The classifier of CH-Rand (Choi et al. 2022, their ``models.py``) up to the layer whose output is used.

    Five 3 x 3 convolutions, each with LeakyReLU, batch norm and pooling by 2, then a dense layer of 256; the
    features are that layer's activations. Made for images of 64 px.

    Args:
        in_channels: of the images.
        narrower: divides the width of every convolution; 1 = the paper's.
    """

    def __init__(self, in_channels: int, narrower: int = 1) -> None:
        widths = tuple(width // narrower for width in (64, 128, 256, 512, 512))
        stages: list[nn.Module] = []
        for index, (before, after) in enumerate(zip((in_channels, *widths), widths, strict=False)):
            pool = nn.AvgPool2d(2, ceil_mode=True) if index == 4 else nn.MaxPool2d(2, ceil_mode=True)
            convolution = nn.Conv2d(before, after, 3, padding=1)
            stages.append(nn.Sequential(convolution, nn.LeakyReLU(_SLOPE), nn.BatchNorm2d(after), pool))
        super().__init__(stages[0], stages[1:], _FC)
        self.dense = nn.Linear(widths[-1] * 4, _FC)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)  # the default of Keras
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, 64, 64) images to (B, 256) features."""
        flat = self.feature_maps(images)[-1].flatten(1)
        return F.leaky_relu(self.dense(flat), _SLOPE)


@register_backbone(CH_RAND, "the network of CH-Rand, for images of 64 px", "Choi et al. 2022")
def _ch_rand(in_channels: int, imagenet: bool) -> Backbone:
    return ChRandNetwork(in_channels)


@register_backbone(HAMMER, "five convolutions of stride 2 to 32 sigmoids", "Hammer et al. 2021")
def _hammer(in_channels: int, imagenet: bool) -> Backbone:
    """The paper gives depth, stride and outputs; kernels of 3, widths up to 64 and He's start are ours.

    With torch's own start the 32 outputs differ by less than .001 between images, their cosines are 1, and
    the pairwise loss never moves.
    """
    widths = (in_channels, 16, 32, 64, 64)
    stages: list[nn.Module] = [
        nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU(inplace=True))
        for before, after in itertools.pairwise(widths)
    ]
    stages.append(nn.Sequential(nn.Conv2d(widths[-1], 32, 3, stride=2, padding=1), nn.Sigmoid()))
    backbone = Backbone(stages[0], stages[1:], 32)
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return backbone

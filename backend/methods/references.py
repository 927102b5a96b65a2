"""What every pretraining is compared with: names without a pretraining of their own."""

from __future__ import annotations

from backend.methods.registry import REFERENCE, MethodInfo, register_reference

register_reference(
    MethodInfo(
        name="random_init",
        family=REFERENCE,
        paper="-",
        description="random weights, as a probe, kNN or fine-tune finds them",
    )
)
register_reference(
    MethodInfo(
        name="imagenet",
        family=REFERENCE,
        paper="Deng et al. 2009, ImageNet; weights by torchvision",
        description="torchvision's ImageNet weights; needs a torchvision backbone",
    )
)
register_reference(
    MethodInfo(
        name="supervised",
        family=REFERENCE,
        paper="-",
        description="the baseline: trained from scratch on the labels alone",
        labels="required",
    )
)

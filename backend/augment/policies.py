"""Named policies: ordered operations, each with its probability and magnitudes. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from backend.config import AugmentConfig
from backend.errors import ConfigError, unknown_name

CUSTOM = "custom"


@dataclass(frozen=True)
class Step:
    """One operation of a policy.

    Attributes:
        operation: a name from the registry.
        probability: share of the samples that get it, 0 to 1; None = the operation's own default.
        magnitudes: (name, value) pairs; magnitudes that are left out keep their defaults.
    """

    operation: str
    probability: float | None = None
    magnitudes: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Policy:
    """Steps in order.

    Attributes:
        name: as in ``AugmentConfig.policy``.
        description: one line.
        source: the paper or work it comes from.
        steps: for the first view, and for the second where nothing else is said.
        second_steps: for the second view of an asymmetric method.
    """

    name: str
    description: str
    source: str
    steps: tuple[Step, ...]
    second_steps: tuple[Step, ...] | None = None

    def view(self, second: bool) -> tuple[Step, ...]:
        """The steps of the first or the second view."""
        return self.second_steps if second and self.second_steps is not None else self.steps


def _jitter(probability: float, brightness: float, contrast: float, saturation: float, hue: float) -> Step:
    values = (("brightness", brightness), ("contrast", contrast), ("saturation", saturation), ("hue", hue))
    return Step("colour_jitter", probability, values)


def _blur(probability: float, sigma_max: float = 2.0) -> Step:
    return Step("gaussian_blur", probability, (("sigma_min", 0.1), ("sigma_max", sigma_max)))


def _crop(scale_min: float, aspect: float = 4 / 3) -> Step:
    return Step("random_resized_crop", 1.0, (("scale_min", scale_min), ("aspect", aspect)))


_BYOL_BOTH = (_crop(0.08), Step("horizontal_flip", 0.5), _jitter(0.8, 0.4, 0.4, 0.2, 0.1), Step("grey", 0.2))
_BYOL_FIRST = (*_BYOL_BOTH, _blur(1.0))
_BYOL_SECOND = (*_BYOL_BOTH, _blur(0.1), Step("solarise", 0.2, (("threshold", 0.5),)))

_POLICIES = {
    policy.name: policy
    for policy in (
        Policy("none", "the image as it is", "the reference of every ablation", ()),
        Policy(
            "pad_rotate_scale",
            "a little smaller and turned by up to 15 degrees, on black",
            "Hammer, Pavlinec, Zarbock, Zeilmann 2021 (FER)",
            (Step("pad_rotate_scale", 1.0, (("degrees", 15.0), ("zoom_out", 1.125))),),
        ),
        Policy(
            "simclr",
            "crop, flip, strong jitter, grey, blur",
            "Chen et al. 2020, arXiv 2002.05709",
            (
                _crop(0.08),
                Step("horizontal_flip", 0.5),
                _jitter(0.8, 0.8, 0.8, 0.8, 0.2),
                Step("grey", 0.2),
                _blur(0.5),
            ),
        ),
        Policy(
            "byol",
            "milder jitter; the first view always blurred, the second seldom but solarised",
            "Grill et al. 2020, arXiv 2006.07733, appendix B",
            _BYOL_FIRST,
            _BYOL_SECOND,
        ),
        Policy(
            "barlow_twins",
            "the two views of BYOL",
            "Zbontar et al. 2021, arXiv 2103.03230, section 2.2",
            _BYOL_FIRST,
            _BYOL_SECOND,
        ),
        Policy(
            "fruit",
            "any way up, mild light; no grey and hardly any hue, for colour carries the label",
            "this project",
            (
                _crop(0.4, 1.25),
                Step("horizontal_flip", 0.5),
                Step("vertical_flip", 0.5),
                Step("rotation", 1.0, (("degrees", 20.0),)),
                _jitter(0.8, 0.25, 0.25, 0.15, 0.02),
                Step("nir_gain_offset", 0.8, (("gain", 0.15), ("offset", 0.05))),
                _blur(0.2, sigma_max=1.0),
            ),
        ),
        Policy(
            "whole_fruit",
            "like fruit, but never cropped: a defect that the crop misses is a wrong label",
            "this project",
            (
                Step("horizontal_flip", 0.5),
                Step("vertical_flip", 0.5),
                Step("rotation", 1.0, (("degrees", 45.0),)),
                _jitter(0.8, 0.3, 0.3, 0.2, 0.03),
                Step("nir_gain_offset", 0.8, (("gain", 0.15), ("offset", 0.05))),
                _blur(0.2, sigma_max=1.0),
            ),
        ),
    )
}


def list_policies() -> tuple[Policy, ...]:
    """Every named policy."""
    return tuple(_POLICIES.values())


def require_policy(name: str, where: str) -> None:
    """Refuse a name that no policy has.

    Args:
        name: of a policy; ``custom``, which is none without its operations, does not count.
        where: the option or field that held it.

    Raises:
        ConfigError: an unknown name.
    """
    if name not in _POLICIES:
        raise unknown_name("policy", name, tuple(_POLICIES), where)


def resolve(config: AugmentConfig) -> Policy:
    """The policy that a configuration asks for, with ``without`` taken out; strength is not applied.

    Raises:
        ConfigError: unknown policy; ``custom`` without operations; or ``without`` names an operation
            that the policy does not hold, so leaving it out would compare the policy with itself.
    """
    policy = _named(config)
    steps = (*policy.steps, *(policy.second_steps or ()))
    present = tuple(dict.fromkeys(step.operation for step in steps))
    for name in config.without:
        if name not in present:
            raise unknown_name(f"operation of policy {policy.name}", name, present, "AugmentConfig.without")
    kept = tuple(step for step in policy.steps if step.operation not in config.without)
    second = policy.second_steps
    if second is not None:
        second = tuple(step for step in second if step.operation not in config.without)
    return Policy(policy.name, policy.description, policy.source, kept, second)


def operation_names(config: AugmentConfig) -> tuple[str, ...]:
    """The operations that a configuration really uses, in order: what a run reports.

    Raises:
        ConfigError: as ``resolve``.
    """
    policy = resolve(config)
    if config.strength == 0:
        return ()
    steps = (*policy.steps, *(policy.second_steps or ()))
    return tuple(dict.fromkeys(step.operation for step in steps))


def _named(config: AugmentConfig) -> Policy:
    if config.policy == CUSTOM:
        if not config.operations:
            raise ConfigError(
                "policy 'custom' with no operation",
                where="AugmentConfig.operations",
                expected="at least one name from the augmentation registry",
                action="name one, or use policy 'none'",
            )
        steps = tuple(Step(name) for name in config.operations)
        return Policy(CUSTOM, "chosen operations with their defaults", "the configuration", steps)
    if config.policy not in _POLICIES:
        raise unknown_name("policy", config.policy, (*_POLICIES, CUSTOM), "AugmentConfig.policy")
    return _POLICIES[config.policy]

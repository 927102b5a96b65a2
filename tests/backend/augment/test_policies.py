"""What the named policies hold, against the papers as lightly carries them out."""

import inspect
from dataclasses import replace

import pytest
from lightly.transforms.byol_transform import BYOLView1Transform, BYOLView2Transform
from lightly.transforms.simclr_transform import SimCLRTransform

from backend.augment.pipeline import Augmenter
from backend.augment.policies import Policy, Step, list_policies, operation_names, resolve
from backend.augment.registry import get_operation
from backend.config import AugmentConfig
from backend.errors import ConfigError

POLICIES = {policy.name: policy for policy in list_policies()}


def _as_lightly(steps: tuple[Step, ...]) -> dict[str, object]:
    """Steps in the words of lightly's arguments."""
    by_name = {step.operation: step for step in steps}
    jitter, blur = by_name["colour_jitter"], by_name["gaussian_blur"]
    values, sigmas = dict(jitter.magnitudes), dict(blur.magnitudes)
    return {
        "cj_prob": jitter.probability,
        "cj_bright": values["brightness"],
        "cj_contrast": values["contrast"],
        "cj_sat": values["saturation"],
        "cj_hue": values["hue"],
        "min_scale": dict(by_name["random_resized_crop"].magnitudes)["scale_min"],
        "random_gray_scale": by_name["grey"].probability,
        "gaussian_blur": blur.probability,
        "sigmas": (sigmas["sigma_min"], sigmas["sigma_max"]),
        "hf_prob": by_name["horizontal_flip"].probability,
        "vf_prob": by_name["vertical_flip"].probability if "vertical_flip" in by_name else 0.0,
    }


def _defaults(transform: type) -> dict[str, object]:
    return {name: p.default for name, p in inspect.signature(transform).parameters.items()}


@pytest.mark.parametrize(
    ("policy", "second", "transform"),
    [
        ("simclr", False, SimCLRTransform),
        ("simclr", True, SimCLRTransform),
        ("byol", False, BYOLView1Transform),
        ("byol", True, BYOLView2Transform),
        ("barlow_twins", False, BYOLView1Transform),
        ("barlow_twins", True, BYOLView2Transform),
    ],
)
def test_the_published_policies_have_lightlys_parameters(policy: str, second: bool, transform: type) -> None:
    ours = _as_lightly(POLICIES[policy].view(second))
    theirs = _defaults(transform)
    assert ours == {name: theirs[name] for name in ours}
    solarised = {step.operation: step.probability for step in POLICIES[policy].view(second)}
    assert solarised.get("solarise", 0.0) == theirs.get("solarization_prob", 0.0)


def test_the_names_of_the_contract_exist() -> None:
    assert {"none", "pad_rotate_scale", "simclr", "byol", "barlow_twins", "fruit"} <= set(POLICIES)


def test_pad_rotate_scale_is_that_of_the_twelve_scenarios() -> None:
    (step,) = POLICIES["pad_rotate_scale"].steps
    assert dict(step.magnitudes) == {"degrees": 15.0, "zoom_out": 2.25 / 2}


def test_fruit_keeps_the_colour_that_carries_the_label() -> None:
    by_name = {step.operation: step for step in POLICIES["fruit"].steps}
    assert not {"grey", "solarise", "channel_randomisation"} & set(by_name)
    assert dict(by_name["colour_jitter"].magnitudes)["hue"] <= 0.03
    assert get_operation("nir_gain_offset").info.name in by_name


@pytest.mark.parametrize("policy", list_policies(), ids=lambda policy: policy.name)
def test_every_policy_names_registered_operations_and_magnitudes(policy: Policy) -> None:
    for step in (*policy.steps, *(policy.second_steps or ())):
        get_operation(step.operation).info.values(dict(step.magnitudes), 1.0)
    assert Augmenter(AugmentConfig(policy=policy.name), 16).policy == policy


def test_without_takes_an_operation_out_of_both_views() -> None:
    policy = resolve(AugmentConfig(policy="byol", without=("grey", "solarise")))
    for steps in (policy.view(False), policy.view(True)):
        assert not {"grey", "solarise"} & {step.operation for step in steps}
        assert "gaussian_blur" in {step.operation for step in steps}


def test_without_refuses_what_the_policy_does_not_hold() -> None:
    with pytest.raises(ConfigError, match=r"'solarise'.*random_resized_crop"):
        resolve(AugmentConfig(policy="simclr", without=("solarise",)))


def test_custom_is_exactly_the_operations_in_their_order() -> None:
    config = AugmentConfig(policy="custom", operations=("grey", "rotation"))
    assert operation_names(config) == ("grey", "rotation")


def test_custom_without_operations_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no operation"):
        resolve(AugmentConfig(policy="custom"))


def test_unknown_policy_and_operation_are_answered_with_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown policy 'simclear'.*custom.*simclr"):
        Augmenter(AugmentConfig(policy="simclear"), 16)
    with pytest.raises(ConfigError, match=r"unknown augmentation 'twist'.*rotation"):
        Augmenter(AugmentConfig(policy="custom", operations=("twist",)), 16)


def test_reported_operations_are_those_that_act() -> None:
    config = AugmentConfig(policy="byol", without=("grey",))
    assert operation_names(config) == (
        "random_resized_crop",
        "horizontal_flip",
        "colour_jitter",
        "gaussian_blur",
        "solarise",
    )
    assert operation_names(replace(config, strength=0.0)) == ()
    assert operation_names(AugmentConfig(policy="none")) == ()

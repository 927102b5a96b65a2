"""The augmentation of whole batches: what is shared, what is not, and that it can be repeated."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as TF
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.transforms.simclr_transform import SimCLRTransform
from torch import Tensor

from backend.augment import pipeline
from backend.augment.pipeline import Augmenter, augment_views, to_float
from backend.augment.policies import list_policies
from backend.augment.sampling import Sampler
from backend.config import AugmentConfig
from backend.errors import ConfigError, DataError

NAMES = [policy.name for policy in list_policies()]
ACTING = [name for name in NAMES if name != "none"]


def _custom(*operations: str, size: int = 16, strength: float = 1.0, always: bool = True) -> Augmenter:
    config = AugmentConfig(policy="custom", operations=operations, strength=strength)
    return Augmenter(config, size, always=always)


@settings(max_examples=40, deadline=None)
@given(
    policy=st.sampled_from(NAMES),
    batch=st.integers(1, 5),
    channels=st.integers(1, 6),
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    size=st.integers(8, 32),
    strength=st.floats(0, 2),
    second=st.booleans(),
    channels_last=st.booleans(),
)
def test_any_shape_comes_out_square_and_in_range(
    policy, batch, channels, height, width, size, strength, second, channels_last
) -> None:
    images = torch.rand(batch, channels, height, width)
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    augmenter = Augmenter(AugmentConfig(policy=policy, strength=strength), size)
    pair = {"rgb": images, "nir": images[:, :1]}
    out = augmenter(pair, torch.Generator().manual_seed(0), second_view=second)
    assert list(out) == ["rgb", "nir"]
    assert out["rgb"].shape == (batch, channels, size, size)
    for changed in out.values():
        assert torch.isfinite(changed).all()
        assert changed.min() >= 0
        assert changed.max() <= 1


@pytest.mark.parametrize("policy", NAMES)
def test_strength_zero_is_the_identity(policy: str, images: Callable[..., Tensor], seeded) -> None:
    batch = images()
    out = Augmenter(AugmentConfig(policy=policy, strength=0.0), 16)({"rgb": batch}, seeded())
    assert torch.equal(out["rgb"], batch)


def test_without_operations_images_are_resized_as_pil_would(images: Callable[..., Tensor], seeded) -> None:
    batch = images(2, 3, 40, 30)
    out = Augmenter(AugmentConfig(policy="none"), 16)({"rgb": batch}, seeded())["rgb"]
    torch.testing.assert_close(out, TF.resize(batch, [16, 16], antialias=True))


@pytest.mark.parametrize("policy", ACTING)
@pytest.mark.parametrize("second", [False, True])
def test_one_generator_state_gives_one_result(
    policy: str, second: bool, images: Callable[..., Tensor], seeded
) -> None:
    batch = {"rgb": images(8), "nir": images(8, 1, seed=1)}
    augmenter = Augmenter(AugmentConfig(policy=policy), 16)
    first = augmenter(batch, seeded(4), second_view=second)
    again = augmenter(batch, seeded(4), second_view=second)
    other = augmenter(batch, seeded(5), second_view=second)
    assert all(torch.equal(first[name], again[name]) for name in batch)
    assert not torch.equal(first["rgb"], other["rgb"])


def test_the_order_of_the_sensors_does_not_matter(images: Callable[..., Tensor], seeded) -> None:
    rgb, nir = images(4), images(4, 1, seed=1)
    augmenter = Augmenter(AugmentConfig(policy="fruit"), 16)
    one = augmenter({"rgb": rgb, "nir": nir}, seeded())
    other = augmenter({"nir": nir, "rgb": rgb}, seeded())
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "operations",
    [("random_resized_crop", "horizontal_flip", "rotation"), ("pad_rotate_scale",), ("jigsaw",)],
    ids="+".join,
)
def test_registered_sensors_move_together(
    operations: tuple[str, ...], images: Callable[..., Tensor], seeded
) -> None:
    rgb = images(12)
    out = _custom(*operations, always=False)({"rgb": rgb, "nir": rgb[:, 1:2]}, seeded())
    torch.testing.assert_close(out["nir"], out["rgb"][:, 1:2])
    assert not torch.equal(out["rgb"], rgb)


def test_registered_sensors_of_different_size_move_together(
    smooth_photo: Callable[..., Tensor], seeded
) -> None:
    fine, coarse = smooth_photo(64).repeat(6, 1, 1, 1), smooth_photo(20).repeat(6, 1, 1, 1)
    out = Augmenter(AugmentConfig(policy="pad_rotate_scale"), 32)({"rgb": fine, "nir": coarse}, seeded())
    assert (out["rgb"] - out["nir"]).abs().median() < 0.01


def test_colour_leaves_other_sensors_alone_and_light_leaves_rgb_alone(
    images: Callable[..., Tensor], seeded
) -> None:
    batch = {"rgb": images(4), "nir": images(4, 3, seed=1), "uv": images(4, 1, seed=2)}
    colour = _custom("colour_jitter", "grey")(batch, seeded())
    assert torch.equal(colour["nir"], batch["nir"])
    assert torch.equal(colour["uv"], batch["uv"])
    assert not torch.equal(colour["rgb"], batch["rgb"])
    light = _custom("nir_gain_offset")(batch, seeded())
    assert torch.equal(light["rgb"], batch["rgb"])
    assert not torch.equal(light["nir"], batch["nir"])
    assert not torch.equal(light["uv"], batch["uv"])


def test_the_views_of_a_fruit_share_their_light(images: Callable[..., Tensor], seeded) -> None:
    same = images(1).repeat(12, 1, 1, 1)
    batch = {"rgb": same, "nir": same[:, :1]}
    out = _custom("colour_jitter", "nir_gain_offset")(batch, seeded(), groups_of=4)
    for changed in out.values():
        fruit = changed.unflatten(0, (3, 4))
        assert torch.equal(fruit, fruit[:, :1].expand_as(fruit))
        assert not torch.allclose(fruit[0], fruit[1], atol=1e-3)


def test_the_views_of_a_fruit_have_geometry_and_focus_of_their_own(
    images: Callable[..., Tensor], seeded
) -> None:
    same = images(1).repeat(8, 1, 1, 1)
    for operation in ("rotation", "gaussian_blur", "cutout"):
        out = _custom(operation)({"rgb": same}, seeded(), groups_of=4)["rgb"]
        assert not any(torch.allclose(out[0], out[i], atol=1e-4) for i in range(1, 8))


def test_half_a_fruit_is_refused(images: Callable[..., Tensor], seeded) -> None:
    with pytest.raises(ConfigError, match="batch of 6 images in groups of 4"):
        _custom("grey")({"rgb": images(6)}, seeded(), groups_of=4)


def test_asymmetric_policies_treat_the_views_differently(images: Callable[..., Tensor], seeded) -> None:
    config = AugmentConfig(
        policy="byol", without=("random_resized_crop", "horizontal_flip", "colour_jitter", "grey")
    )
    batch = images(400, 3, 8, 8)
    augmenter = Augmenter(config, 8)
    first = augmenter({"rgb": batch}, seeded())["rgb"]
    second = augmenter({"rgb": batch}, seeded(), second_view=True)["rgb"]
    untouched = [(out == batch).flatten(1).all(1).float().mean().item() for out in (first, second)]
    assert untouched[0] < 0.08  # a blur of less than a fifth of a pixel changes nothing
    assert untouched[1] == pytest.approx(0.9 * 0.8, abs=0.06)


def test_operations_reach_their_share_of_the_samples(images: Callable[..., Tensor], seeded) -> None:
    batch = images(1000, 3, 8, 8)
    out = _custom("grey", size=8, always=False)({"rgb": batch}, seeded())["rgb"]
    changed = (out != batch).flatten(1).any(1).float().mean()
    assert changed == pytest.approx(0.2, abs=0.04)


@pytest.mark.parametrize("policy", ACTING)
def test_memory_format_is_kept_and_changes_nothing(
    policy: str, images: Callable[..., Tensor], seeded
) -> None:
    batch = images(6)
    last = batch.contiguous(memory_format=torch.channels_last)
    augmenter = Augmenter(AugmentConfig(policy=policy), 16)
    first = augmenter({"rgb": batch}, seeded())["rgb"]
    second = augmenter({"rgb": last}, seeded())["rgb"]
    assert first.is_contiguous()
    assert second.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(first, second)


@pytest.mark.parametrize("policy", ACTING)
def test_the_size_of_the_chunks_changes_nothing(
    policy: str, images: Callable[..., Tensor], seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = images(10)
    augmenter = Augmenter(AugmentConfig(policy=policy), 16)
    whole = augmenter({"rgb": batch}, seeded())["rgb"]
    monkeypatch.setattr(pipeline, "_CHUNK_VALUES", 3 * 3 * 16 * 16)
    torch.testing.assert_close(augmenter({"rgb": batch}, seeded())["rgb"], whole)


def test_autocast_does_not_lower_the_precision(images: Callable[..., Tensor], seeded) -> None:
    batch = {"rgb": images()}
    augmenter = Augmenter(AugmentConfig(policy="simclr"), 16)
    plain = augmenter(batch, seeded())["rgb"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(augmenter(batch, seeded())["rgb"], plain)


def test_large_images_are_shrunk_without_aliasing(seeded) -> None:
    # A chequerboard of single pixels has no structure that 8 px could show: it must come out grey.
    board = (torch.arange(64).view(-1, 1) + torch.arange(64)).remainder(2).float().expand(3, 3, 64, 64)
    out = Augmenter(AugmentConfig(policy="pad_rotate_scale"), 8)({"rgb": board}, seeded())["rgb"]
    assert (out[..., 2:6, 2:6] - 0.5).abs().max() < 0.02


def test_no_sensor_gives_no_sensor(seeded) -> None:
    assert Augmenter(AugmentConfig(), 16)({}, seeded()) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"rgb": torch.zeros(2, 3, 8, 8, dtype=torch.uint8)},
        {"rgb": torch.zeros(3, 8, 8)},
        {"rgb": torch.zeros(2, 3, 8, 8), "nir": torch.zeros(3, 1, 8, 8)},
    ],
    ids=["type", "shape", "sizes"],
)
def test_wrong_images_are_refused_in_one_line(wrong: dict[str, Tensor], seeded) -> None:
    with pytest.raises(ConfigError, match=r"modality '.*expected float32 of shape \(B, C, H, W\)"):
        Augmenter(AugmentConfig(), 8)(wrong, seeded())


def test_samplers_share_draws_inside_a_group() -> None:
    drawn = Sampler(torch.Generator().manual_seed(0), 6, groups_of=3).uniform(2.0, 4.0, 2)
    assert drawn.shape == (6, 2)
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[3])
    assert ((drawn >= 2) & (drawn < 4)).all()


def test_stored_pixels_become_floats_without_being_moved() -> None:
    pixels = torch.randint(0, 256, (2, 5, 4, 3), dtype=torch.uint8)
    pixels[0, 0, 0] = torch.tensor([0, 255, 51], dtype=torch.uint8)
    images = to_float(pixels)
    assert images.shape == (2, 3, 5, 4)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images[0, :, 0, 0].tolist() == [0.0, 1.0, pytest.approx(0.2)]
    assert torch.equal(images.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1), pixels)


def test_floats_are_not_taken_for_stored_pixels() -> None:
    with pytest.raises(DataError, match="expected uint8"):
        to_float(torch.zeros(1, 4, 4, 3))


def test_simclr_changes_images_as_much_as_lightlys_transform(
    smooth_photo: Callable[..., Tensor], images: Callable[..., Tensor], seeded
) -> None:
    # The same distribution, not the same draws. PIL rounds to 8 bits after each step, which alone adds
    # up to half a level to what differs between neighbouring pixels.
    photo = (smooth_photo(32) + 0.3 * (images(1, 3, 32, 32) - 0.5)).clamp(0, 1)
    count = 600
    torch.manual_seed(0)
    np.random.seed(0)  # lightly's blur draws from the global generator
    picture = TF.to_pil_image(photo[0])
    transform = SimCLRTransform(input_size=32, normalize=None).transforms[0]
    theirs = torch.stack([transform(picture) for _ in range(count)])
    ours = Augmenter(AugmentConfig(policy="simclr"), 32)({"rgb": photo.repeat(count, 1, 1, 1)}, seeded())
    for statistic in (
        lambda x: x.mean((1, 2, 3)),  # brightness of an image
        lambda x: x.std((1, 2, 3)),  # contrast
        lambda x: (x - x.mean(1, keepdim=True)).abs().mean((1, 2, 3)),  # colourfulness
        lambda x: (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3)),  # sharpness
    ):
        us, them = statistic(ours["rgb"]), statistic(theirs)
        assert us.mean().item() == pytest.approx(them.mean().item(), rel=0.1, abs=0.5 / 255)
        assert us.std().item() == pytest.approx(them.std().item(), rel=0.25)


def test_views_get_draws_of_their_own_and_sensors_share_them():

    augment = Augmenter(AugmentConfig(policy="custom", operations=("horizontal_flip",)), 8)
    image = torch.rand(40, 1, 1, 8, 8)
    images = {
        "rgb": image.expand(40, 2, 3, 8, 8).contiguous(),
        "nir": image.expand(40, 2, 1, 8, 8).contiguous(),
    }
    result = augment_views(augment, images, torch.Generator().manual_seed(0))
    torch.testing.assert_close(result["rgb"][:, :, :1], result["nir"])
    same = (result["nir"][:, 0] == result["nir"][:, 1]).flatten(1).all(1)
    assert 0 < same.sum() < 40

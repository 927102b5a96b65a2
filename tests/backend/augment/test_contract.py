"""What every registered operation must do, also one that is registered tomorrow."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from backend.augment.pipeline import Augmenter
from backend.augment.registry import OperationInfo, list_operations
from backend.config import AugmentConfig

SIZE = 12
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]
pytestmark = pytest.mark.parametrize("info", list_operations(), ids=lambda info: info.name)


def _augmenter(info: OperationInfo, strength: float = 1.0, always: bool = True) -> Augmenter:
    config = AugmentConfig(policy="custom", operations=(info.name,), strength=strength)
    return Augmenter(config, SIZE, always=always)


def _modality(info: OperationInfo) -> str:
    return "nir" if info.kind == "sensor" else "rgb"


@pytest.mark.parametrize("channels", range(1, 7))
@pytest.mark.parametrize("strength", [0.3, 1.0, 2.0])
def test_any_channel_count_keeps_shape_type_and_range(
    info: OperationInfo, channels: int, strength: float, images: Callable[..., Tensor], seeded
) -> None:
    # Pixels at the very ends of the range, where an offset would leave it first.
    batch = images(5, channels, SIZE, SIZE).mul(3).sub(1).clamp(0, 1)
    out = _augmenter(info, strength)({"rgb": batch, "nir": batch}, seeded(1))
    for changed in out.values():
        assert changed.shape == batch.shape
        assert changed.dtype == torch.float32
        assert torch.isfinite(changed).all()
        assert changed.min() >= 0
        assert changed.max() <= 1


def test_strength_zero_changes_no_bit(info: OperationInfo, images: Callable[..., Tensor], seeded) -> None:
    batch = {"rgb": images(4, 3, SIZE, SIZE), "nir": images(4, 1, SIZE, SIZE)}
    out = _augmenter(info, strength=0.0)(batch, seeded())
    assert all(torch.equal(out[name], batch[name]) for name in batch)


def test_a_trace_of_strength_changes_hardly_anything(
    info: OperationInfo, images: Callable[..., Tensor], seeded
) -> None:
    if not info.magnitudes:
        pytest.skip("has no magnitude: it is on or off")
    batch = images(8, 3, SIZE, SIZE)
    name = _modality(info)
    out = _augmenter(info, strength=0.01)({name: batch}, seeded())[name]
    assert (out - batch).abs().mean() < 0.02


def test_every_sample_gets_its_own_draw(info: OperationInfo, images: Callable[..., Tensor], seeded) -> None:
    same = images(1, 3, SIZE, SIZE).repeat(64, 1, 1, 1)
    name = _modality(info)
    out = _augmenter(info, always=False)({name: same}, seeded())[name]
    different = {tuple(image.mul(1e4).round().flatten().tolist()) for image in out}
    # Flips and the like have two outcomes for one image; what draws a magnitude has one for each sample.
    two = not info.magnitudes or info.name in ("grey", "solarise")
    expected = 2 if two else int(32 * info.probability)
    assert len(different) >= expected


def test_neighbours_do_not_matter(info: OperationInfo, images: Callable[..., Tensor], seeded) -> None:
    batch, name = images(6, 3, SIZE, SIZE), _modality(info)
    other = batch.clone()
    other[1:] = 1 - other[1:]
    first = _augmenter(info)({name: batch}, seeded(3))[name]
    second = _augmenter(info)({name: other}, seeded(3))[name]
    torch.testing.assert_close(first[0], second[0])


def test_it_acts(info: OperationInfo, images: Callable[..., Tensor], seeded) -> None:
    batch, name = images(8, 3, SIZE, SIZE), _modality(info)
    out = _augmenter(info)({name: batch}, seeded())[name]
    assert (out - batch).abs().mean() > 0.005


def test_it_combines_with_every_other_in_either_order(
    info: OperationInfo, images: Callable[..., Tensor], seeded
) -> None:
    batch = {"rgb": images(3, 3, SIZE, SIZE), "nir": images(3, 1, SIZE, SIZE)}
    for other in list_operations():
        config = AugmentConfig(policy="custom", operations=(info.name, other.name))
        out = Augmenter(config, SIZE, always=True)(batch, seeded())
        for name, changed in out.items():
            assert changed.shape == batch[name].shape
            assert 0 <= changed.min() <= changed.max() <= 1


@pytest.mark.parametrize("device", DEVICES)
def test_the_generator_decides_everything(
    info: OperationInfo, device: str, images: Callable[..., Tensor]
) -> None:
    batch, name = images(16, 3, SIZE, SIZE).to(device), _modality(info)
    augmenter = _augmenter(info, always=False)
    generator = torch.Generator(device=device)
    torch.manual_seed(1)
    first = augmenter({name: batch}, generator.manual_seed(7))[name]
    torch.manual_seed(2)
    again = augmenter({name: batch}, generator.manual_seed(7))[name]
    other = augmenter({name: batch}, generator)[name]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_batch_that_came_in_is_left_alone(
    info: OperationInfo, images: Callable[..., Tensor], seeded
) -> None:
    batch = {"rgb": images(6, 3, SIZE, SIZE), "nir": images(6, 2, SIZE, SIZE)}
    before = {name: value.clone() for name, value in batch.items()}
    _augmenter(info)(batch, seeded())
    assert all(torch.equal(batch[name], before[name]) for name in batch)


def test_no_gradient_is_recorded(info: OperationInfo, images: Callable[..., Tensor], seeded) -> None:
    batch = images(4, 3, SIZE, SIZE).requires_grad_()
    out = _augmenter(info)({_modality(info): batch}, seeded())
    assert not any(changed.requires_grad for changed in out.values())


def test_the_kind_decides_which_sensors_are_touched(
    info: OperationInfo, images: Callable[..., Tensor], seeded
) -> None:
    batch = {"rgb": images(6, 3, SIZE, SIZE), "nir": images(6, 2, SIZE, SIZE)}
    out = _augmenter(info)(batch, seeded())
    touched = {name for name in batch if not torch.equal(out[name], batch[name])}
    assert touched == {"colour": {"rgb"}, "sensor": {"nir"}}.get(info.kind, {"rgb", "nir"})

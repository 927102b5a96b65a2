import copy
import itertools

import pytest
import torch
from torch import Tensor, nn

from backend.models import small_maps
from backend.models.backbones import create_backbone
from backend.models.small_maps import CELLS, SmallMapConv2d, _Convolution, _one_cell, speed_up_small_maps

GEOMETRIES = [
    (side, kernel, stride, padding)
    for side, kernel, stride, padding in itertools.product((1, 2, 3, 5, 6, 12), (1, 3), (1, 2), (0, 1))
    if side + 2 * padding >= kernel
]

PLAIN = nn.Conv2d(8, 16, 3, padding=1, bias=False)


def trained(
    convolution: nn.Conv2d, images: Tensor, precision: torch.dtype = torch.bfloat16
) -> tuple[Tensor, Tensor, Tensor]:
    """Output, gradient of the images and of the weights, of a step."""
    convolution = copy.deepcopy(convolution)
    images = images.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        output = convolution(images)
    assert output.dtype == precision
    (output.float() * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
    assert images.grad is not None and convolution.weight.grad is not None
    return output.float(), images.grad, convolution.weight.grad


@pytest.mark.parametrize(("precision", "error"), [(torch.bfloat16, 0.02), (torch.float32, 1e-5)])
@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("side", "kernel", "stride", "padding"), GEOMETRIES)
def test_a_step_is_that_of_torchs_own(
    side: int, kernel: int, stride: int, padding: int, memory, precision: torch.dtype, error: float
) -> None:
    torch.manual_seed(side)
    plain = nn.Conv2d(8, 16, kernel, stride, padding, bias=False).to(memory_format=memory)
    images = torch.randn(4, 8, side, side).contiguous(memory_format=memory)
    reference = copy.deepcopy(plain).double()
    exact = images.double().requires_grad_()
    output = reference(exact)
    (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
    expected = output, exact.grad, reference.weight.grad
    for ours, true in zip(trained(SmallMapConv2d.of(plain), images, precision), expected, strict=True):
        assert true is not None
        assert (ours - true).abs().max() <= error * true.abs().max()


@pytest.mark.parametrize(("side", "kernel", "stride", "padding"), [(2, 3, 1, 1), (5, 3, 2, 1), (4, 1, 2, 0)])
def test_gradients_are_those_of_differences(side: int, kernel: int, stride: int, padding: int) -> None:
    def convolve(images: Tensor, weight: Tensor) -> Tensor:
        return _Convolution.apply(images, weight, (stride, stride), (padding, padding))

    generator = torch.Generator().manual_seed(0)
    images, weight = (
        torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)
        for shape in ((2, 3, side, side), (4, 3, kernel, kernel))
    )
    assert torch.autograd.gradcheck(convolve, (images, weight))


@pytest.mark.parametrize(
    ("high", "wide", "stride", "padding"), [(1, 1, 1, 1), (2, 2, 2, 1), (3, 3, 1, 0), (1, 3, 3, 1)]
)
def test_one_cell_is_the_part_of_the_kernel_that_meets_the_image(
    high: int, wide: int, stride: int, padding: int
) -> None:
    images, weight = torch.randn(2, 3, high, wide), torch.randn(4, 3, 3, 3)
    expected = nn.functional.conv2d(images, weight, None, stride, padding)
    assert expected.shape[2:] == (1, 1)
    torch.testing.assert_close(_one_cell(images, weight, (padding, padding)), expected)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which of our ways were taken."""
    taken: list[str] = []
    for owner, name in ((_Convolution, "apply"), (small_maps, "_one_cell")):
        own = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda *found, own=own, name=name: (taken.append(name), own(*found))[1]
        )
    return taken


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
def test_small_maps_are_trained_our_way(ways: list[str], precision: torch.dtype) -> None:
    for side in (2, 1):
        trained(SmallMapConv2d.of(PLAIN), torch.rand(2, 8, side, side), precision)
    assert ways == ["apply", "_one_cell"]


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
def test_beyond_small_maps_nothing_changes(ways: list[str], precision: torch.dtype) -> None:
    large = torch.rand(2, 8, 8, 8)
    assert large.shape[2] * large.shape[3] > max(CELLS.values())
    found, expected = (trained(one, large, precision) for one in (SmallMapConv2d.of(PLAIN), PLAIN))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert not ways


@pytest.mark.parametrize("side", [2, 1])
def test_what_is_judged_goes_torchs_own_way(ways: list[str], side: int) -> None:
    plain, small = copy.deepcopy(PLAIN), torch.rand(2, 8, side, side)
    ours = SmallMapConv2d.of(plain)
    assert torch.equal(ours.eval()(small), plain(small))
    with torch.no_grad():
        assert torch.equal(ours.train()(small), plain(small))
    ours.double()  # their weights are the same ones
    assert torch.equal(ours(small.double()), plain(small.double()))
    assert not ways


def test_a_model_keeps_its_weights_names_and_random_numbers() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.Sequential(nn.Conv2d(8, 8, 1, bias=False)))
    names, weights, state = list(model.state_dict()), list(model.parameters()), torch.get_rng_state()
    speed_up_small_maps(model)
    assert sum(isinstance(module, SmallMapConv2d) for module in model.modules()) == 2
    assert list(model.state_dict()) == names
    assert all(one is other for one, other in zip(model.parameters(), weights, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "options",
    [{"groups": 4}, {"dilation": 2}, {"bias": True}, {"padding": "same"}, {"padding_mode": "reflect"}],
)
def test_other_convolutions_are_left_alone(options: dict) -> None:
    model = nn.Sequential(nn.Conv2d(8, 8, 3, **{"padding": 1, "bias": False, **options}))
    speed_up_small_maps(model)
    assert type(model[0]) is nn.Conv2d


def test_backbones_that_train_in_bfloat16_have_them() -> None:
    fast, other = create_backbone("resnet10_half", 3), create_backbone("mobilenet_v3_small", 3)
    plain = [module for module in fast.modules() if type(module) is nn.Conv2d]
    assert not plain
    assert not any(isinstance(module, SmallMapConv2d) for module in other.modules())

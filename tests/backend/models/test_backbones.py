import pytest
import torch
from torch import nn
from torch.hub import get_dir

from backend.errors import ConfigError
from backend.models.backbones import (
    create_backbone,
    list_backbones,
    register_backbone,
    trains_in_bfloat16,
)

HUGE = 1e30


def leave_behind(backbone: nn.Module) -> None:
    """Fill memory of the size of each weight, in both precisions, and give it back as it is."""
    for weight in backbone.parameters():
        for kind in (torch.float32, torch.bfloat16):
            _ = [torch.full_like(weight, HUGE, dtype=kind) for _ in range(3)]


DEEP = ("resnet34", "resnet50")
NAMES = [info.name for info in list_backbones() if info.source in ("own", "torchvision")]


@pytest.mark.parametrize("name", NAMES)
def test_every_backbone_takes_any_channel_count_and_trains(name: str) -> None:
    grey = create_backbone(name, 1).to("meta")  # where shapes alone cost nothing
    assert grey(torch.empty(2, 1, 48, 48, device="meta")).shape == (2, grey.feature_dim)
    torch.manual_seed(0)
    backbone = create_backbone(name, 5)
    features = backbone(torch.rand(2, 5, 32, 32))
    assert features.shape == (2, backbone.feature_dim)
    features.sum().backward()
    first = next(iter(backbone.parameters()))
    assert first.grad is not None
    assert torch.isfinite(first.grad).all()
    with torch.no_grad():
        maps = backbone.eval().feature_maps(torch.rand(1, 5, 32, 32))
    assert len(maps) == len(backbone.stages) >= 1
    assert maps[-1].shape[:2] == (1, backbone.feature_dim)


@pytest.mark.parametrize(
    ("name", "side"),
    [
        pytest.param(name, side, marks=pytest.mark.slow if name in DEEP else ())
        for name in NAMES
        if trains_in_bfloat16(name)
        for side in (2, 4, 8, 16)
    ],
)
def test_no_gradient_is_left_unwritten_in_bfloat16(name: str, side: int) -> None:
    torch.manual_seed(0)
    backbone = create_backbone(name, 3).to(memory_format=torch.channels_last)
    images = torch.rand(64, 3, side, side).contiguous(memory_format=torch.channels_last)
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            features = backbone(images)
        leave_behind(backbone)
        features.float().square().sum().backward()
        for weight in backbone.parameters():
            assert weight.grad is None or weight.grad.abs().max() < HUGE / 1e10
        backbone.zero_grad()


def test_features_are_the_mean_of_the_last_map() -> None:
    backbone = create_backbone("resnet10_half", 3).eval()
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(backbone(images), backbone.feature_maps(images)[-1].mean(dim=(2, 3)))


def test_torchvision_features_are_torchvisions_own() -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    backbone = create_backbone("resnet18", 3).eval()
    torch.manual_seed(0)
    reference = resnet18().eval()
    reference.fc = torch.nn.Identity()
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(backbone(images), reference(images))


def test_an_unknown_name_lists_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"resnet99.*resnet10_half.*resnet18"):
        create_backbone("resnet99", 3)


def test_a_name_can_be_registered_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        register_backbone("resnet18", "", "")(lambda channels, _: create_backbone("resnet10", channels))


def test_imagenet_weights_exist_for_torchvision_only() -> None:
    with pytest.raises(ConfigError, match=r"resnet10_half.*resnet18"):
        create_backbone("resnet10_half", 3, imagenet=True)


def test_imagenet_weights_that_cannot_be_had_say_where_to_put_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(ConfigError) as caught:
        create_backbone("resnet18", 4, imagenet=True)
    assert get_dir() in str(caught.value)
    assert "resnet18" in str(caught.value)


def test_imagenet_weights_are_loaded_and_spread_over_the_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import resnet18

    torch.manual_seed(1)
    source = resnet18().state_dict()
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *a, **k: dict(source))
    backbone = create_backbone("resnet18", 4, imagenet=True)
    state = backbone.state_dict()
    torch.testing.assert_close(state["stages.0.1.0.conv1.weight"], source["layer1.0.conv1.weight"])
    grey = source["conv1.weight"].mean(dim=1)
    first = state["stem.0.weight"]
    assert first.shape[1] == 4
    correlation = torch.corrcoef(torch.stack([first.mean(dim=1).flatten(), grey.flatten()]))[0, 1]
    assert correlation > 0.9

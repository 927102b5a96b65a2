import pytest

from backend.augment import registry
from backend.augment.registry import (
    KINDS,
    Effect,
    Magnitude,
    OperationInfo,
    get_operation,
    list_operations,
    register,
)
from backend.errors import ConfigError

NAMES = {
    *("random_resized_crop", "horizontal_flip", "vertical_flip", "rotation", "pad_rotate_scale"),
    *("colour_jitter", "grey", "gaussian_blur", "gaussian_noise", "solarise", "channel_randomisation"),
    *("jigsaw", "cutout", "nir_gain_offset"),
}


def test_every_promised_operation_is_listed_once() -> None:
    names = [info.name for info in list_operations()]
    assert len(names) == len(set(names))
    assert set(names) >= NAMES


def test_the_list_follows_the_order_of_kinds() -> None:
    kinds = [KINDS.index(info.kind) for info in list_operations()]
    assert kinds == sorted(kinds)
    assert set(kinds) == set(range(len(KINDS)))


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        list_operations()[0].name = "other"  # type: ignore[misc]


def test_a_name_can_be_taken_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_OPERATIONS", dict(registry._OPERATIONS))
    before = get_operation("grey")

    class Second(Effect):
        def draw(self, sampler, channels, magnitudes): ...

        def apply(self, images, drawn, generator): ...

    with pytest.raises(ConfigError, match=r"'grey' is registered twice"):
        register(OperationInfo("grey", "another", "pixel", "nowhere"))(Second)
    assert get_operation("grey") is before


def test_an_unknown_name_is_answered_with_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown augmentation 'blurr'.*gaussian_blur") as caught:
        get_operation("blurr", "--operation")
    assert str(caught.value).startswith("--operation: ")


@pytest.mark.parametrize("change", [{"kind": "sound"}, {"probability": 1.5}])
def test_a_record_checks_itself(change: dict[str, object]) -> None:
    values: dict[str, object] = {"name": "x", "description": "", "kind": "pixel", "source": ""}
    with pytest.raises(ConfigError):
        OperationInfo(**{**values, **change})  # type: ignore[arg-type]


def test_strength_leads_from_identity_through_the_value_and_stops_at_the_limits() -> None:
    area = Magnitude("scale_min", 0.4, identity=1.0, low=0.1, high=1.0, description="")
    assert area.scaled(0.4, 0) == 1.0
    assert area.scaled(0.4, 0.5) == pytest.approx(0.7)
    assert area.scaled(0.4, 1) == pytest.approx(0.4)
    assert area.scaled(0.4, 2) == 0.1


def test_a_magnitude_that_does_not_exist_is_refused() -> None:
    info = get_operation("rotation").info
    with pytest.raises(ConfigError, match=r"unknown magnitude 'angle'.*degrees"):
        info.values({"angle": 3.0}, 1.0)


@pytest.mark.parametrize("info", list_operations(), ids=lambda info: info.name)
def test_every_record_is_complete(info: OperationInfo) -> None:
    assert info.description
    assert info.source
    assert 0 < info.probability <= 1
    for magnitude in info.magnitudes:
        assert magnitude.low <= magnitude.default <= magnitude.high
        assert magnitude.low <= magnitude.identity <= magnitude.high
        assert magnitude.default != magnitude.identity
        assert magnitude.description

import pytest
import torch
from torch import Tensor

from backend.config import VIEW_POOLINGS, ModelConfig
from backend.errors import ConfigError
from backend.models.batch import FruitBatch
from backend.models.network import FruitNetwork, NetworkSpec
from backend.models.pooling import ViewPooling

SPEC = NetworkSpec(channels={"rgb": 3, "nir": 1}, views={"rgb": 2, "nir": 2}, readings=2, outputs=4)
EVERYTHING = ("rgb", "nir", "pressure")


def batch(n: int = 5, *, all_present: bool = True) -> FruitBatch:
    generator = torch.Generator().manual_seed(0)
    present = {name: torch.ones(n, 2, dtype=torch.bool) for name in SPEC.channels}
    if not all_present:
        present["rgb"][1, 0] = False
        present["nir"][2] = False
    images = {
        name: torch.rand(n, 2, c, 16, 16, generator=generator) * present[name][..., None, None, None]
        for name, c in SPEC.channels.items()
    }
    pressure_present = torch.ones(n, 2, dtype=torch.bool)
    pressure_present[3, 1] = all_present
    pressure = torch.rand(n, 2, generator=generator) * pressure_present
    return FruitBatch(images, present, pressure, pressure_present, torch.zeros(n, 4), torch.arange(n))


def network(**changes: object) -> FruitNetwork:
    torch.manual_seed(0)
    config = ModelConfig(**{"modalities": EVERYTHING, **changes})  # type: ignore[arg-type]
    return FruitNetwork(config, SPEC)


@pytest.mark.parametrize("fusion", ["late", "early"])
@pytest.mark.parametrize("pooling", VIEW_POOLINGS)
@pytest.mark.parametrize("modalities", [EVERYTHING, ("nir",), ("pressure",), ("rgb", "pressure")])
def test_every_architecture_trains_on_incomplete_fruit(
    fusion: str, pooling: str, modalities: tuple[str, ...]
) -> None:
    model = network(fusion=fusion, view_pooling=pooling, modalities=modalities)
    logits = model(batch(all_present=False))
    assert logits.shape == (5, 4)
    logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def _changed(fruit: FruitBatch, **changes: object) -> FruitBatch:
    return FruitBatch(**{**vars(fruit), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("pooling", VIEW_POOLINGS)
def test_what_a_missing_view_holds_changes_nothing(pooling: str) -> None:
    model = network(view_pooling=pooling).eval()
    fruit = batch(all_present=False)
    noise = {
        name: torch.where(fruit.present[name][..., None, None, None], images, torch.rand_like(images))
        for name, images in fruit.images.items()
    }
    torch.testing.assert_close(model(fruit), model(_changed(fruit, images=noise)))


def test_what_a_missing_reading_holds_changes_nothing() -> None:
    model = network(modalities=("pressure",)).eval()
    fruit = batch(all_present=False)
    wild = torch.where(fruit.pressure_present, fruit.pressure, torch.full_like(fruit.pressure, 99.0))
    torch.testing.assert_close(model(fruit), model(_changed(fruit, pressure=wild)))


def test_missing_views_do_not_touch_batch_statistics() -> None:
    """In training mode a fruit's features must not depend on blank views of other fruit."""
    model = network(modalities=("rgb",))
    fruit = batch(all_present=False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model(fruit)
    mean = model.state_dict()["encoders.rgb.backbone.stem.1.running_mean"]
    model.load_state_dict(before)
    keep = fruit.present["rgb"].flatten()
    model.encoder("rgb")(fruit.images["rgb"].flatten(0, 1)[keep])
    torch.testing.assert_close(mean, model.state_dict()["encoders.rgb.backbone.stem.1.running_mean"])


def test_the_order_of_views_does_not_matter() -> None:
    model = network(view_pooling="attention").eval()
    fruit = batch(all_present=False)
    swapped = _changed(
        fruit,
        images={name: images.flip(1) for name, images in fruit.images.items()},
        present={name: present.flip(1) for name, present in fruit.present.items()},
    )
    torch.testing.assert_close(model(fruit), model(swapped))


@pytest.mark.parametrize("kind", ["mean", "max", "attention"])
def test_pooling_ignores_absent_views_and_survives_none(kind: str) -> None:
    torch.manual_seed(0)
    pool = ViewPooling(kind, 6, 4)
    features = torch.randn(3, 4, 6)
    present = torch.tensor([[True] * 4, [True, False, True, False], [False] * 4])
    pooled = pool(features, present)
    alone: Tensor = pool(features[1:2, ::2], torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(pooled[1:2], alone)
    torch.testing.assert_close(pooled[2], torch.zeros(6))


def test_mean_and_max_pooling_are_what_they_say() -> None:
    features = torch.randn(2, 3, 4)
    present = torch.ones(2, 3, dtype=torch.bool)
    torch.testing.assert_close(ViewPooling("mean", 4, 3)(features, present), features.mean(1))
    torch.testing.assert_close(ViewPooling("max", 4, 3)(features, present), features.amax(1))


def test_views_apart_keep_their_places_and_an_absent_one_counts_as_the_mean() -> None:
    features = torch.randn(2, 3, 4)
    present = torch.tensor([[True, True, True], [True, False, True]])
    pool = ViewPooling("apart", 4, 3)
    pooled = pool(features, present).unflatten(1, (3, 4))
    assert pool.width == 12
    torch.testing.assert_close(pooled[0], features[0])
    torch.testing.assert_close(pooled[1, ::2], features[1, ::2])
    torch.testing.assert_close(pooled[1, 1], features[1, ::2].mean(0))
    assert not pool(features, torch.zeros_like(present)).any()


def test_what_shows_in_one_view_alone_reaches_the_head_with_views_apart() -> None:
    fruit, model = batch(), network(view_pooling="apart", modalities=("rgb",)).eval()
    swapped = _changed(fruit, images={name: images.flip(1) for name, images in fruit.images.items()})
    assert not torch.allclose(model(fruit), model(swapped))


def test_with_one_view_a_sensor_it_does_not_matter_how_views_are_pooled() -> None:
    spec = NetworkSpec(channels={"rgb": 3, "nir": 1}, views={"rgb": 1, "nir": 1}, readings=2, outputs=4)
    fruit, logits = batch(), []
    one = {name: images[:, :1] for name, images in fruit.images.items()}
    present = {name: torch.ones(5, 1, dtype=torch.bool) for name in one}
    for pooling in ("mean", "max", "apart"):
        torch.manual_seed(0)
        model = FruitNetwork(ModelConfig(modalities=EVERYTHING, view_pooling=pooling), spec).eval()
        logits.append(model(_changed(fruit, images=one, present=present)))
    assert torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], logits[2])


def test_statistics_reach_the_stacked_encoder_in_order() -> None:
    model = network(fusion="early")
    statistics = {
        "rgb": (torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.4, 0.5, 0.6])),
        "nir": (torch.tensor([0.7]), torch.tensor([0.8])),
    }
    model.set_statistics(statistics)
    torch.testing.assert_close(model.encoder("early").normalise.mean, torch.tensor([0.1, 0.2, 0.3, 0.7]))


def test_a_sensor_the_data_lack_is_named() -> None:
    with pytest.raises(ConfigError, match=r"thermal.*rgb, nir"):
        network(modalities=("thermal",))
    with pytest.raises(ConfigError, match="pressure"):
        FruitNetwork(ModelConfig(modalities=("pressure",)), NetworkSpec({}, {}, 0, 2))


def test_a_sensor_may_have_any_name() -> None:
    """Words that torch uses for itself, and the name of the encoder of stacked sensors."""
    channels = {"type": 3, "keys": 1, "early": 2}
    spec = NetworkSpec(channels, dict.fromkeys(channels, 2), readings=0, outputs=4)
    images = {name: torch.rand(5, 2, count, 16, 16) for name, count in channels.items()}
    present = {name: torch.ones(5, 2, dtype=torch.bool) for name in channels}
    nothing = torch.zeros(5, 0)
    fruit = FruitBatch(images, present, nothing, nothing.bool(), torch.zeros(5, 4), torch.arange(5))
    for fusion, encoders in (("late", list(channels)), ("early", ["early"])):
        model = FruitNetwork(ModelConfig(modalities=tuple(channels), fusion=fusion), spec)
        assert list(model.encoders) == encoders and model(fruit).shape == (5, 4)
        FruitNetwork(model.config, spec).load_state_dict(model.state_dict())


def test_early_fusion_needs_the_same_views() -> None:
    spec = NetworkSpec({"rgb": 3, "nir": 1}, {"rgb": 2, "nir": 1}, 0, 2)
    with pytest.raises(ConfigError, match="late fusion"):
        FruitNetwork(ModelConfig(modalities=("rgb", "nir"), fusion="early"), spec)


def test_features_of_any_stage_are_the_average_of_its_map() -> None:
    fruit, model = batch(all_present=False), network(modalities=("rgb", "nir")).eval()
    with torch.no_grad():
        maps = model.encoder("rgb").feature_maps(fruit.images["rgb"].flatten(0, 1))
        layers = (0, 1, -1)
        for layer, stage in zip(layers, model.stage_view_features(fruit, layers), strict=True):
            features, present = stage["rgb"]
            expected = maps[layer].mean(dim=(2, 3)).unflatten(0, present.shape) * present.unsqueeze(-1)
            torch.testing.assert_close(features, expected)
        last, present = model.view_features(fruit)["nir"]
        alone = model.encoder("nir")(fruit.images["nir"].flatten(0, 1)).view_as(last)
        torch.testing.assert_close(last, alone * present.unsqueeze(-1))
        with pytest.raises(ConfigError, match="layer 9; expected -"):
            model.stage_view_features(fruit, (9,))


def test_a_batch_without_any_view_has_features_of_the_right_width() -> None:
    fruit, model = batch(), network(modalities=("rgb",)).eval()
    absent = _changed(fruit, present={name: torch.zeros(5, 2, dtype=torch.bool) for name in SPEC.channels})
    with torch.no_grad():
        for layer in (0, -1):
            seen, missing = (model.stage_view_features(f, (layer,))[0]["rgb"][0] for f in (fruit, absent))
            assert missing.shape == seen.shape
            assert not missing.any()

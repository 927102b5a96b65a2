import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.config import (
    AugmentConfig,
    DataConfig,
    MethodConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    config_hash,
    derive_seed,
)
from backend.errors import AvocadoError, ConfigError
from backend.fields import from_dict, to_dict

runs = st.builds(
    RunConfig,
    kind=st.sampled_from(["baseline", "finetune"]),
    method=st.builds(
        MethodConfig,
        name=st.sampled_from(["simclr", "moco"]),
        params=st.lists(
            st.tuples(st.sampled_from(["temperature", "queue"]), st.floats(0.01, 1)), max_size=2
        ).map(tuple),
    ),
    model=st.builds(ModelConfig, modalities=st.sampled_from([("rgb",), ("rgb", "nir", "pressure")])),
    augment=st.builds(AugmentConfig, strength=st.floats(0, 2), without=st.just(("grey",))),
    optim=st.builds(OptimConfig, learning_rate=st.floats(1e-5, 1), batch_size=st.integers(1, 512)),
    data=st.builds(DataConfig, label_fraction=st.floats(0.01, 1)),
    seed=st.integers(0, 100),
    label=st.text(max_size=20),
)


@given(runs)
def test_json_round_trip(config: RunConfig) -> None:
    assert from_dict(RunConfig, json.loads(json.dumps(to_dict(config)))) == config


@given(runs)
def test_the_hash_names_everything_but_the_label(config: RunConfig) -> None:
    import dataclasses

    assert config_hash(dataclasses.replace(config, label="other")) == config_hash(config)
    assert config_hash(dataclasses.replace(config, seed=config.seed + 1)) != config_hash(config)


def test_what_was_no_choice_once_goes_without_saying() -> None:
    """Results are keyed by the hash: those from before there was a choice keep their names."""
    values = to_dict(RunConfig())
    del values["label"], values["devices"], values["method"]["group_block"]
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    assert config_hash(RunConfig()) == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert config_hash(RunConfig(devices=2)) != config_hash(RunConfig())
    assert config_hash(RunConfig(method=MethodConfig(group_block=2))) != config_hash(RunConfig())


def test_a_pinned_configuration_still_loads_and_keeps_its_hash() -> None:
    """A store keeps configurations for years: a new field needs a default that changes no old run."""
    stored = {"kind": "baseline", "model": {"backbone": "resnet18", "modalities": ["rgb", "nir"]}, "seed": 3}
    config = from_dict(RunConfig, stored)
    assert config.model == ModelConfig(backbone="resnet18", modalities=("rgb", "nir"))
    assert config.seed == 3


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: ModelConfig(fusion="middle"), ["middle", "late", "early"]),
        (lambda: ModelConfig(modalities=()), ["modalit"]),
        (lambda: ModelConfig(modalities=("rgb", "rgb")), ["once"]),
        (lambda: ModelConfig(dropout=1.0), ["dropout"]),
        (lambda: OptimConfig(learning_rate=0.0), ["learning_rate", "above 0"]),
        (lambda: OptimConfig(imbalance="magic"), ["magic", "focal"]),
        (lambda: DataConfig(label_fraction=0.0), ["label_fraction"]),
        (lambda: DataConfig(folds=1), ["folds"]),
        (lambda: AugmentConfig(strength=3.0), ["strength"]),
        (lambda: RunConfig(kind="wish"), ["wish", "baseline"]),
        (lambda: RunConfig(devices=0), ["devices", "above 0"]),
        (lambda: from_dict(RunConfig, {"colour": 1}), ["colour", "seed"]),
        (lambda: from_dict(RunConfig, {"seed": "one"}), ["RunConfig.seed", "int"]),
        (lambda: from_dict(RunConfig, {"model": 3}), ["RunConfig.model", "table"]),
        (lambda: from_dict(RunConfig, {"model": {"modalities": "rgb"}}), ["list"]),
    ],
)
def test_bad_values_say_what_and_where(build, words) -> None:
    with pytest.raises(ConfigError) as caught:
        build()
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_method_parameters_are_sorted_and_typed() -> None:
    method = MethodConfig(params=(("temperature", 0.2), ("queue", 64)))
    assert method.params == (("queue", 64), ("temperature", 0.2))
    assert method.get("temperature", 0.5) == 0.2
    assert method.get("missing", 7) == 7


def test_seeds_depend_on_every_part() -> None:
    assert derive_seed("a", 1) == derive_seed("a", 1)
    assert len({derive_seed("a", 1), derive_seed("a", 2), derive_seed("b", 1), derive_seed("a1")}) == 4
    assert 0 <= derive_seed("x") < 2**31


def test_an_error_is_one_line_with_its_parts() -> None:
    error = AvocadoError("found\nthis", where="file.csv, row 3", expected="that", action="mend it")
    assert str(error) == "file.csv, row 3: found this; expected that; mend it"

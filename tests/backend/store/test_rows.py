"""What rows are made of: identities, names for people, JSON for every reader."""

import json
import math

import numpy as np
import pytest

from backend.config import DataConfig, MethodConfig, ModelConfig, RunConfig, config_hash
from backend.store.rows import compact_json, readable_name, run_identity


def test_run_identity_depends_on_configuration_study_and_data():
    config = RunConfig()
    assert run_identity(config, "a", "d") == run_identity(config, "a", "d")
    ids = {run_identity(c, s, d) for c in (config, RunConfig(seed=1)) for s in ("a", "b") for d in ("d", "e")}
    assert len(ids) == 8
    assert run_identity(config, "a", "d").startswith(config_hash(config) + "-")


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (
            RunConfig(
                kind="finetune",
                method=MethodConfig("barlow_twins"),
                model=ModelConfig(modalities=("rgb", "nir")),
                data=DataConfig(label_fraction=0.1),
            ),
            "barlow_twins · 10 % labels · rgb+nir",
        ),
        (RunConfig(kind="probe", method=MethodConfig("simclr")), "simclr probe · rgb"),
        (RunConfig(kind="pretrain", method=MethodConfig("simclr")), "simclr pretrain · rgb"),
        (RunConfig(label="without nir"), "baseline · resnet10_half · rgb · without nir"),
    ],
)
def test_names_are_for_people(config, name):
    assert readable_name(config) == name


def test_json_is_valid_for_every_reader():
    value = {"a": np.float32("nan"), "b": (np.int64(3), {1.5}), "c": np.arange(2), 4: math.inf, "d": None}
    assert json.loads(compact_json(value)) == {"a": None, "b": [3, [1.5]], "c": [0, 1], "4": None, "d": None}

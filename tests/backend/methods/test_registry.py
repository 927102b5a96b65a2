import subprocess
import sys

import pytest
import torch

from backend.augment.policies import operation_names
from backend.config import AugmentConfig, MethodConfig
from backend.errors import ConfigError
from backend.fields import from_dict, to_dict
from backend.methods.base import Method, MethodContext
from backend.methods.registry import (
    METRIC,
    MethodInfo,
    Range,
    check_method,
    compatible_augment,
    create_method,
    default_augment,
    default_method_config,
    default_optim,
    list_methods,
    method_info,
    register_method,
)

INFOS = list_methods()


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_records_are_complete(info):
    assert info.description and info.paper
    assert info.default_positives in info.positives
    assert operation_names(default_augment(info.name)) is not None
    for name, search in info.search.items():
        if isinstance(search, Range):
            assert search.low < search.high
            default = info.defaults.get(name, info.learning_rate)
            assert search.low <= default <= search.high, f"{name}: the default is outside its range"
        else:
            assert info.defaults[name] in search
    config = default_method_config(info.name)
    assert from_dict(MethodConfig, to_dict(config)) == config


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="'simclr' is registered twice"):
        register_method(MethodInfo("simclr", METRIC, "x", "x"))(object)


def test_records_cannot_be_changed():
    with pytest.raises(TypeError):
        method_info("simclr").defaults["temperature"] = 1.0


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(
        ConfigError, match=r"--methods: unknown method 'mocov3'; expected one of barlow_twins, byol"
    ):
        method_info("mocov3", "--methods")


def test_learning_rates_grow_with_the_root_of_the_batch():
    small, large = (default_optim("simclr", epochs=5, batch_size=size) for size in (64, 256))
    assert large.learning_rate == pytest.approx(2 * small.learning_rate)
    assert large.learning_rate == method_info("simclr").learning_rate


def test_augmentations_that_spoil_a_task_are_left_out():
    assert "rotation" not in operation_names(default_augment("rotation"))
    assert "vertical_flip" not in operation_names(default_augment("rotation"))
    kept = compatible_augment("rotation", AugmentConfig(policy="none"))
    assert kept.without == ()
    grey = compatible_augment("colourisation", AugmentConfig(policy="simclr", without=("gaussian_blur",)))
    assert grey.without == ("gaussian_blur", "grey")


def test_positives_from_classes_need_labels():
    check_method(MethodConfig("drlim", "class"), labels=True)
    with pytest.raises(ConfigError, match="no labels"):
        check_method(MethodConfig("drlim", "class"), labels=False)
    check_method(MethodConfig("drlim", "augment"), labels=False)


def test_integers_pass_for_decimals_but_not_the_other_way():
    check_method(MethodConfig("simclr", params=(("temperature", 1),)))
    with pytest.raises(ConfigError, match="expected a value of type int"):
        check_method(MethodConfig("simclr", params=(("output_dim", 64.0),)))
    with pytest.raises(ConfigError, match="expected a value of type int"):
        check_method(MethodConfig("simclr", params=(("output_dim", True),)))


def test_importing_the_registry_imports_no_torch():
    code = "import sys, backend.methods.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_new_method_is_one_class(monkeypatch):
    """What CONTRIBUTING promises: a class under the decorator is all it takes."""
    from backend.methods import registry

    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))

    @register_method(MethodInfo("nothing", METRIC, "-", "learns nothing", defaults={"weight": 2.0}))
    class Nothing(Method):
        def loss(self, batch, generator):
            return torch.zeros(()) * self.hyper("weight", float), {}

    method = create_method(
        MethodConfig("nothing"),
        torch.nn.ModuleDict({"rgb": torch.nn.Identity()}),
        None,
        MethodContext({}, 8, 2, 2),
    )
    assert isinstance(method, Nothing)
    assert "nothing" in [info.name for info in list_methods(METRIC)]

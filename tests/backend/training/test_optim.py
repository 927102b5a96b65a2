import pytest
import torch
from threadpoolctl import ThreadpoolController
from torch import nn

from backend.training.optim import BFLOAT16, FLOAT32, mixed_precision, prepare_worker, training_precision

DENSE, DEPTHWISE = "resnet18", "mobilenet_v3_small"


@pytest.fixture(params=[True, False], ids=["bfloat16 cores", "no bfloat16 cores"])
def cores(request, monkeypatch) -> bool:
    """Whether the CPU of this test multiplies in bfloat16."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": request.param}, raising=False)
    return request.param


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": True}, BFLOAT16),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": False}, FLOAT32),
        ({"cpu_name": "AMD EPYC", "avx512_bf16": True, "amx_bf16": False}, BFLOAT16),
        ({"cpu_name": "AMD EPYC", "avx512_bf16": False, "amx_bf16": False}, FLOAT32),
        ({"avx512_bf16": True}, FLOAT32),
    ],
)
def test_cores_that_gain_nothing_from_bfloat16_stay_in_float32(monkeypatch, found, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert training_precision("cpu", DENSE) == expected


def test_bfloat16_where_it_is_faster(cores):
    assert training_precision("cpu", DENSE) == (BFLOAT16 if cores else FLOAT32)
    assert training_precision("cpu", DEPTHWISE) == FLOAT32
    assert training_precision("cuda", DEPTHWISE) == BFLOAT16
    assert training_precision("mps", DENSE) == FLOAT32


def test_a_torch_that_cannot_say_multiplies_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert training_precision("cpu", DENSE) == FLOAT32


def test_products_have_the_chosen_precision(cores):
    with mixed_precision("cpu", DENSE):
        product = nn.Linear(2, 2)(torch.ones(1, 2))
    assert product.dtype == (torch.bfloat16 if cores else torch.float32)


def test_a_worker_takes_no_more_threads_than_it_was_given():
    before = torch.get_num_threads()
    blas = ThreadpoolController().select(user_api="blas")
    with blas.limit(limits=2):  # on leaving it, what the test has set is forgotten
        prepare_worker(1)
        found = ThreadpoolController().select(user_api="blas").info()
        assert torch.get_num_threads() == 1
        assert found and {library["num_threads"] for library in found} == {1}
    torch.set_num_threads(before)

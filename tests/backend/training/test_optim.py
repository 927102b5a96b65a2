import torch
from threadpoolctl import ThreadpoolController

from backend.training.optim import prepare_worker


def test_a_worker_takes_no_more_threads_than_it_was_given():
    before = torch.get_num_threads()
    blas = ThreadpoolController().select(user_api="blas")
    with blas.limit(limits=2):  # on leaving it, what the test has set is forgotten
        prepare_worker(1)
        found = ThreadpoolController().select(user_api="blas").info()
        assert torch.get_num_threads() == 1
        assert found and {library["num_threads"] for library in found} == {1}
    torch.set_num_threads(before)

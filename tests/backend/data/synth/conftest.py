"""A small synthetic data set, made once."""

import pytest

from backend.data.synth import make_dataset


@pytest.fixture(scope="session")
def avocados(tmp_path_factory):
    """48 fruit of 32 px in 4 pallets, half of them labelled."""
    out = tmp_path_factory.mktemp("synth") / "avocados"
    make_dataset(out, 48, seed=4, size=32, progress=False)
    return out

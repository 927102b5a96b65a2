"""The figure of the user guide."""

import numpy as np
from PIL import Image

from backend.data.synth.montage import main, montage


def test_the_figure_shows_every_defect_and_stays_small(tmp_path):
    out = tmp_path / "images" / "figure.png"
    assert main([str(out)]) == 0
    assert out.stat().st_size < 200_000
    with Image.open(out) as figure:
        small = np.asarray(figure.convert("RGB")).astype(int)
    full = np.asarray(montage()).astype(int)
    assert small.shape == full.shape
    assert np.abs(small - full).mean() < 6  # the palette loses little


def test_the_figure_is_the_same_twice():
    np.testing.assert_array_equal(np.asarray(montage(size=24)), np.asarray(montage(size=24)))

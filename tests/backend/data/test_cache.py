"""The cache holds what the decoder gives, in any order, and does not grow with the data set."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.data import cache_build
from backend.data.cache import ImageCache
from backend.data.cache_layout import CacheLayout, ModalityLayout, data_file
from backend.data.cache_memory import MemoryCache
from backend.data.images import decode_image
from backend.errors import DataError


@pytest.fixture
def never_decode(monkeypatch):
    def fail(*_):
        raise AssertionError("an image was decoded again")

    return lambda: monkeypatch.setattr(cache_build, "decode_image", fail)


def test_holds_what_the_decoder_gives(folder, opened):
    folder.set(4, "image:rgb:2", "")
    cache = opened(folder)
    assert (cache.resolution, len(cache), cache.modalities) == (8, 13, ("rgb", "nir"))
    assert cache.channels == {"rgb": 3, "nir": 1}
    assert cache.nbytes == 13 * 8 * 8 * (2 * 3 + 1)
    rgb, nir = (cache.batch(range(13), modality) for modality in ("rgb", "nir"))
    assert (rgb.shape, nir.shape, rgb.dtype) == ((13, 2, 8, 8, 3), (13, 1, 8, 8, 1), np.uint8)
    for i in range(13):
        for view in (1, 2):
            if (i, view) != (2, 2):
                expected = decode_image(str(folder.root / f"images/rgb-{i}-{view}.png"), 8)
                np.testing.assert_array_equal(rgb[i, view - 1], expected)
        np.testing.assert_array_equal(nir[i, 0], decode_image(str(folder.root / f"images/nir-{i}-1.png"), 8))
    assert not rgb[2, 1].any()
    expected = np.ones((13, 2), dtype=bool)
    expected[2, 1] = False
    np.testing.assert_array_equal(cache.present["rgb"], expected)
    assert cache.present["nir"].all()


def test_batches_follow_any_order_and_repeats(folder, opened):
    cache = opened(folder)
    everything = cache.batch(range(13), "rgb")
    indices = np.array([12, 0, 7, 7, 3])
    np.testing.assert_array_equal(cache.batch(indices, "rgb"), everything[indices])
    assert cache.batch([], "rgb").shape == (0, 2, 8, 8, 3)
    for outside in (-1, 13):
        with pytest.raises(IndexError):
            cache.batch([outside], "rgb")


@pytest.mark.parametrize("held", [lambda cache: cache, MemoryCache.of], ids=["disk", "memory"])
def test_one_view_of_each_fruit_is_read_alone(folder, opened, held):
    cache = held(opened(folder))
    fruit, views = np.array([12, 0, 7, 7]), np.array([1, 0, 1, 0])
    everything = cache.batch(range(13), "rgb")
    np.testing.assert_array_equal(cache.batch(fruit, "rgb", views), everything[fruit, views])
    assert cache.batch([], "rgb", []).shape == (0, 8, 8, 3)
    for outside in ([0], [-1]), ([0], [2]), ([13], [0]), ([-1], [1]):
        with pytest.raises(IndexError):
            cache.batch(outside[0], "rgb", outside[1])


def test_a_second_start_decodes_nothing(folder, opened, never_decode):
    first = opened(folder)
    never_decode()
    second = opened(folder)
    assert second.layout == first.layout
    np.testing.assert_array_equal(first.batch([5], "rgb"), second.batch([5], "rgb"))


def test_new_labels_decode_nothing(folder, opened, caches, never_decode):
    opened(folder)
    never_decode()
    folder.set(4, "defect:rot", "")
    folder.set(4, "pressure:tap", "")
    opened(folder)
    assert len(caches()) == 1


def test_a_new_image_resolution_or_order_makes_a_new_cache(folder, opened, caches):
    opened(folder)
    opened(folder, resolution=9)
    Image.new("RGB", (12, 12), "red").save(folder.root / "images/rgb-0-1.png")
    assert opened(folder).batch([0], "rgb")[0, 0, 0, 0].tolist() == [255, 0, 0]
    folder.rows.reverse()
    assert opened(folder).batch([12], "rgb")[0, 0, 0, 0].tolist() == [255, 0, 0]
    assert len(caches()) == 4


def test_pickles_as_a_path(folder, opened):
    cache = opened(folder, resolution=64)
    expected = cache.batch([1, 2], "rgb")
    assert cache.present["rgb"].all()
    packed = pickle.dumps(cache)
    assert len(packed) < 1000
    np.testing.assert_array_equal(pickle.loads(packed).batch([1, 2], "rgb"), expected)


def test_statistics_are_those_of_the_images_that_exist(folder, opened):
    folder.set(4, "image:rgb:2", "")
    cache = opened(folder)
    chosen = [2, 3, 5]
    seen = cache.batch(chosen, "rgb")[cache.present["rgb"][chosen]].reshape(-1, 3) / 255
    mean, std = cache.channel_statistics(chosen[::-1])["rgb"]
    np.testing.assert_allclose(mean, seen.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(std, seen.std(axis=0), atol=1e-6)


def test_statistics_of_flat_and_absent_images_can_be_divided_by(folder, opened):
    for row in range(2, 15):
        folder.set(row, "image:nir:1", "")
        for view in (1, 2):
            Image.new("RGB", (12, 12), (51, 0, 255)).save(folder.root / folder.get(row, f"image:rgb:{view}"))
    statistics = opened(folder).channel_statistics(range(13))
    np.testing.assert_allclose(statistics["rgb"][0], [0.2, 0, 1])
    np.testing.assert_allclose(statistics["rgb"][1], np.full(3, 1 / 255), rtol=1e-6)
    assert [values.tolist() for values in statistics["nir"]] == [[0], [1]]


def test_statistics_of_many_fruit_use_a_sample(folder, opened, monkeypatch):
    monkeypatch.setattr("backend.data.cache.STATISTICS_SAMPLE", 3)
    cache = opened(folder)
    all_of_them, sample = (cache.channel_statistics(rows)["nir"][0] for rows in (range(13), [0, 6, 12]))
    np.testing.assert_array_equal(all_of_them, sample)


def test_rgb_has_three_channels_even_if_its_files_are_grey(folder, opened):
    for path in folder.root.glob("images/rgb-*"):
        Image.open(path).convert("L").save(path)
    rgb = opened(folder).batch([0], "rgb")
    assert rgb.shape[-1] == 3
    assert (rgb == rgb[..., :1]).all()


def test_one_colour_image_outside_the_sample_makes_its_modality_colour(folder, opened, monkeypatch):
    monkeypatch.setattr(cache_build, "FORMAT_SAMPLE", 1)
    Image.new("RGB", (12, 12), (255, 0, 0)).save(folder.root / "images/nir-7-1.png")
    cache = opened(folder)
    assert cache.channels == {"rgb": 3, "nir": 3}
    nir = cache.batch([7, 8], "nir")
    assert nir[0, 0, 0, 0].tolist() == [255, 0, 0]
    assert (nir[1] == nir[1][..., :1]).all()
    np.testing.assert_array_equal(
        nir[1, 0, :, :, :1], decode_image(str(folder.root / "images/nir-8-1.png"), 8)
    )


def test_16_bit_images_of_a_modality_share_one_scale(folder, opened):
    for i in range(13):
        values = np.full((12, 12), 4095 if i == 4 else 100 * i, dtype=np.uint16)
        Image.fromarray(values).save(folder.root / f"images/nir-{i}-1.png")
    cache = opened(folder)
    assert cache.layout.modalities["nir"].bits == 12
    levels = cache.batch(range(13), "nir")[:, 0, 0, 0, 0]
    assert levels.tolist() == [255 if i == 4 else round(100 * i * 255 / 4095) for i in range(13)]


def test_a_file_cut_while_in_use_is_one_line(folder, opened):
    cache = opened(folder)
    cache.batch([12], "rgb")
    os.truncate(cache.folder / data_file("rgb"), 10)
    with pytest.raises(DataError, match="cut or removed while in use"):
        cache.batch([12], "rgb")
    (cache.folder / data_file("nir")).unlink()
    with pytest.raises(DataError, match="cut or removed while in use"):
        cache.batch([12], "nir")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the resident memory from /proc")
def test_memory_grows_with_the_batch_and_not_with_the_data_set(tmp_path):
    """Every fruit of a 600 MB cache is read; a mapping would keep all of it resident."""
    layout = CacheLayout(128, 4000, {"rgb": ModalityLayout(views=3, channels=3, bits=8)})
    with (tmp_path / data_file("rgb")).open("wb") as file:
        file.truncate(layout.file_bytes("rgb"))
    cache = ImageCache(tmp_path, layout)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    cache.batch(range(32), "rgb")
    before = resident()
    most = max(
        resident() - before
        for start in range(0, 4000, 32)
        if len(cache.batch(range(start, min(start + 32, 4000)), "rgb"))
    )
    assert cache.nbytes > 580e6
    assert most < 40e6

"""The pictures: geometry, registration, and each defect in the sensors where it is in reality."""

from dataclasses import replace

import numpy as np
import pytest

from backend.data.synth.catalogue import DEFECTS
from backend.data.synth.fruit import VIEW_ANGLES, VIEWS, draw_pallet, shape_fruit
from backend.data.synth.painters import PAINTERS
from backend.data.synth.render import render
from backend.data.synth.surface import surface
from backend.data.synth.textures import HEIGHT, WIDTH, skin

NAMES = [spec.name for spec in DEFECTS]
SIZE = 48

# Mean change (0 to 255) inside the mask: at most this is hidden, at least that is visible.
HIDDEN, VISIBLE = 0.5, 4.0


def draw(name=None, severity=0.8, ripeness=0.2, n=6, noise=0.0, **fixed):
    """The same n fruit with one defect, or with none; nothing else differs."""
    rng = np.random.default_rng(11)
    pallet = replace(draw_pallet(rng, 0), noise=noise)
    severities = np.zeros((n, len(DEFECTS)), np.float32)
    if name:
        severities[:, NAMES.index(name)] = severity
    fruit = shape_fruit(np.random.default_rng(5), np.full(n, ripeness, np.float32), severities, DEFECTS)
    for key, value in fixed.items():
        getattr(fruit, key)[:] = value
    return fruit, render(np.random.default_rng(1), fruit, pallet, PAINTERS, SIZE)


def change(name, severity, sensor):
    _, ill = draw(name, severity)
    _, sound = draw()
    mask = ill.masks[name][1]
    a, b = (getattr(pictures, sensor).astype(float) for pictures in (ill, sound))
    return np.abs(a - b)[mask].mean()


def test_shapes_and_types():
    _, pictures = draw(n=3)
    assert pictures.rgb.shape == (3, len(VIEWS), SIZE, SIZE, 3)
    assert pictures.nir.shape == (3, len(VIEWS), SIZE, SIZE)
    assert pictures.rgb.dtype == pictures.nir.dtype == np.uint8
    assert pictures.masks == {}


def test_normals_are_unit_vectors_and_match_the_depth():
    fruit, _ = draw(n=2)
    ground = surface(fruit, 96)
    inside = ground.cover == 1
    length = np.sqrt(ground.nx**2 + ground.ny**2 + ground.nz**2)
    np.testing.assert_allclose(length[inside], 1, atol=1e-5)
    # dz/dx = -nx/nz on any smooth surface, away from the silhouette (an upright fruit, no bend)
    fruit.tilt[:], fruit.bend[:] = 0, 0
    ground = surface(fruit, 96)
    slope = (ground.z[..., 2:] - ground.z[..., :-2]) * 96 / 2
    flat = (ground.nz > 0.6)[..., 1:-1] & (ground.cover == 1)[..., 1:-1]
    expected = -ground.nx / np.maximum(ground.nz, 0.1)
    np.testing.assert_allclose(slope[flat], expected[..., 1:-1][flat], atol=0.03)


def test_the_stem_end_is_narrower_than_the_blossom_end():
    fruit, _ = draw(n=6)
    fruit.tilt[:] = 0
    cover = surface(fruit, 64).cover.sum(axis=3)
    rows = np.arange(64)
    for picture in cover.reshape(-1, 64):
        filled = rows[picture > 1]
        quarter = (filled[-1] - filled[0]) // 4
        assert picture[filled[0] + quarter] < picture[filled[-1] - quarter]


@pytest.mark.parametrize("view", range(4))
def test_a_mark_is_in_the_views_that_face_it_and_not_behind(view):
    _, pictures = draw("body-rot", angles=VIEW_ANGLES[view], heights=0.1, counts=1)
    area = pictures.masks["body-rot"][1].sum(axis=(2, 3))
    assert (area.argmax(axis=1) == view).all()
    assert (area[:, (view + 2) % 4] == 0).all()
    columns = np.where(pictures.masks["body-rot"][1][:, view])[2]
    assert abs(columns.mean() - SIZE / 2) < 4


def test_a_mark_moves_across_as_the_fruit_turns():
    _, pictures = draw("body-rot", angles=np.pi / 4, heights=0.1, counts=1)
    mask = pictures.masks["body-rot"][1]
    centre = [np.where(mask[:, view])[2].mean() for view in (0, 1)]
    assert centre[0] > SIZE / 2 + 3  # to the right of the first view
    assert centre[1] < SIZE / 2 - 3  # to the left of the next


@pytest.mark.parametrize(
    ("name", "rgb", "nir"),
    [
        ("stem-end-rot", False, True),
        ("body-rot", False, True),
        ("vascular-browning", False, True),
        ("bruising", False, True),
        ("grey-pulp", False, True),
        ("sunburn", True, None),
        ("lenticel-damage", True, False),
        ("wind-scar", True, None),
        ("insect-damage", True, None),
        ("chilling-injury", True, True),
    ],
)
def test_a_middling_defect_is_where_it_is_in_reality(name, rgb, nir):
    colour = change(name, 0.5, "rgb")
    assert colour > VISIBLE if rgb else colour < HIDDEN
    depth = change(name, 0.5, "nir")
    if nir is None:
        assert depth < change(name, 0.5, "rgb") / 2
    else:
        assert depth > VISIBLE if nir else depth < HIDDEN


@pytest.mark.parametrize("name", ["stem-end-rot", "body-rot"])
def test_rots_reach_the_skin_only_when_severe(name):
    assert change(name, 1.0, "rgb") > VISIBLE


@pytest.mark.parametrize("name", ["vascular-browning", "bruising", "grey-pulp"])
def test_hidden_defects_leave_no_trace_in_rgb_whatever_the_severity(name):
    _, ill = draw(name, 1.0)
    _, sound = draw()
    np.testing.assert_array_equal(ill.rgb, sound.rgb)


@pytest.mark.parametrize("name", NAMES)
def test_a_severe_case_is_plainer_and_larger_than_a_mild_one(name):
    fruit, mild = draw(name, 0.15)
    _, severe = draw(name, 1.0)
    assert severe.masks[name][1].sum() > mild.masks[name][1].sum()
    inside = surface(fruit, SIZE).cover > 0.5
    assert not (severe.masks[name][1] & ~inside).any()
    sensor = "nir" if name in NAMES[:5] else "rgb"
    assert change(name, 1.0, sensor) > change(name, 0.15, sensor)


def test_ripe_fruit_are_darker_in_rgb_and_hardly_in_nir():
    _, green = draw(ripeness=0.05)
    _, ripe = draw(ripeness=0.95)
    inside = surface(draw()[0], SIZE).cover == 1
    assert ripe.rgb[inside].mean() < 0.65 * green.rgb[inside].mean()
    assert ripe.nir[inside].mean() > 0.85 * green.nir[inside].mean()


def test_pallets_differ_in_light_and_background():
    corners = []
    for index in range(8):
        rng = np.random.default_rng([1, index])
        pallet = draw_pallet(rng, index)
        fruit = shape_fruit(rng, np.full(2, 0.2, np.float32), np.zeros((2, 10), np.float32), DEFECTS)
        corners.append(render(rng, fruit, pallet, PAINTERS, 32).rgb[:, :, :3, :3].mean())
    assert np.std(corners) > 5


def test_noise_is_new_in_every_picture():
    _, pictures = draw(n=1, noise=0.01)
    _, clean = draw(n=1)
    grain = pictures.nir.astype(float) - clean.nir
    assert 2 < grain.std() < 6
    assert abs(np.corrcoef(grain[0, 0].ravel(), grain[0, 1].ravel())[0, 1]) < 0.1


def test_the_skin_wraps_round_without_a_seam():
    for name in ("mottle", "rough", "slope_x"):
        picture = getattr(skin(), name).reshape(HEIGHT, WIDTH)
        seam = np.abs(picture[:, 0] - picture[:, -1]).mean()
        inside = np.abs(np.diff(picture, axis=1)).mean()
        assert seam < 1.5 * inside

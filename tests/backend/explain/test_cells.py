"""Where the cells of a feature map lie: half a cell off, and every heat map points beside the defect."""

import pytest
import torch

from backend.explain.cells import Cells, cells_of, spread
from backend.explain.gradcam import map_sides


@pytest.mark.parametrize(
    ("backbone", "first"),
    [
        ("resnet10_half", (0, 0, 0, 0)),  # odd kernels with padding: each cell on the first of its pixels
        pytest.param("resnet18", (0, 0, 0, 0), marks=pytest.mark.slow),
        ("mobilenet_v3_small", (0, 0, 0)),
        # Patches: each cell in the middle of its pixels.
        pytest.param("convnext_tiny", (3.5, 7.5), marks=pytest.mark.slow),
    ],
)
def test_cells_are_where_their_receptive_fields_are(make_network, backbone, first):
    model = make_network(backbone=backbone)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for stage, place in enumerate(first):
        cells = cells_of(model, stage)
        assert cells == Cells(place, 64 / map_sides(model, 64)[stage])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("cells", [Cells(0, 4), Cells(1.5, 4)])
def test_a_hot_cell_stays_on_its_pixel(cells):
    maps = torch.zeros(2, 3, 8, 8)
    maps[1, 2, 3, 5] = 1
    wide = spread(maps, 32, cells)
    assert wide.shape == (2, 3, 32, 32) and not wide[0].any() and not wide[1, :2].any()
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    weight = wide[1, 2] / wide[1, 2].sum()
    assert float((weight * rows).sum()) == pytest.approx(cells.first + 3 * cells.stride)
    assert float((weight * columns).sum()) == pytest.approx(cells.first + 5 * cells.stride)


def test_nothing_is_lost_beyond_the_outer_cells():
    torch.testing.assert_close(spread(torch.ones(1, 1, 3, 3), 20, Cells(1.5, 7)), torch.ones(1, 1, 20, 20))
    torch.testing.assert_close(spread(torch.ones(1, 1, 1, 1), 5, Cells(0, 8)), torch.ones(1, 1, 5, 5))


@pytest.mark.parametrize("backbone", ["resnet10_half", "resnet18", "mobilenet_v3_small"])
def test_later_cells_follow_from_earlier_ones_to_half_a_pixel(make_network, backbone):
    model = make_network(backbone=backbone)
    sides = map_sides(model, 64)
    first = cells_of(model, 0)
    for stage in range(1, 3):
        expected, found = cells_of(model, stage), first.coarser(sides[0] // sides[stage])
        assert found.stride == expected.stride
        assert abs(found.first - expected.first) <= (0.5 if stage == 1 else 1.5)

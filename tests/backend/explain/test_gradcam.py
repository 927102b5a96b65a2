"""Class maps: as the reference library draws them, as the equations say, and for every kind of network."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from backend.config import VIEW_POOLINGS
from backend.explain.gradcam import default_stage, grad_cam, local_cam, local_cams, map_sides, within_deeper
from backend.explain.heatmap import enlarge
from backend.models.backbones import list_backbones

TWINS = ("resnet10", "resnet18_small", "resnet34", "resnet50", "mobilenet_v3_large")
"""Built like another one, only larger."""
TARGETS = torch.tensor([0, 1, 2, 3, 0])


class OnePicture(nn.Module):
    """A network of one sensor and one view as the reference library takes it: pictures to logits."""

    def __init__(self, model, batch):
        super().__init__()
        self.model = model
        self.batch = batch

    def forward(self, pictures):
        return self.model(replace(self.batch, images={"rgb": pictures.unsqueeze(1)}))


def normalised(maps):
    """From 0 to 1 for each picture, as the reference library does it."""
    maps = maps - maps.amin(dim=(1, 2), keepdim=True)
    return maps / (1e-7 + maps.amax(dim=(1, 2), keepdim=True))


@pytest.mark.parametrize("method", ["GradCAM", "HiResCAM"])
@pytest.mark.parametrize("backbone", ["resnet18", "resnet10_half"])
@pytest.mark.parametrize("stage", [-1, -2])
def test_maps_are_those_of_the_reference_library(make_network, make_batch, method, backbone, stage):
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    explain = {"GradCAM": grad_cam, "HiResCAM": partial(local_cam, smoothing=0)}[method]

    model, batch = make_network(backbone=backbone), make_batch()
    layer = model.encoder("rgb").backbone.stages[stage]
    with getattr(pytorch_grad_cam, method)(OnePicture(model, batch).eval(), [layer]) as reference:
        wanted = [ClassifierOutputTarget(int(target)) for target in TARGETS]
        expected = torch.from_numpy(reference(batch.images["rgb"][:, 0], targets=wanted))
    maps = explain(model, batch, TARGETS, stage).maps["rgb"]
    ours = normalised(enlarge(maps, 64)[:, 0])
    assert expected.std() > 0.05
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)


BACKBONES = [
    info.name for info in list_backbones() if info.source in ("own", "torchvision") and info.name not in TWINS
]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_family_of_backbones_can_be_explained_at_every_stage(make_network, make_batch, backbone):
    model, batch = make_network(backbone=backbone), make_batch(2, side=32)
    for stage, side in enumerate(map_sides(model, 32)):
        found = grad_cam(model, batch, TARGETS[:2], stage)
        assert found.maps["rgb"].shape == (2, 1, side, side)
        torch.testing.assert_close(found.logits, model(batch), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("pooling", VIEW_POOLINGS)
@pytest.mark.parametrize("fusion", ["late", "early"])
def test_maps_of_several_views_and_sensors_follow_the_equations(make_network, make_batch, pooling, fusion):
    model = make_network(("rgb", "nir", "pressure"), views=3, view_pooling=pooling, fusion=fusion)
    batch = make_batch(4, views=3, side=32)
    batch.present["rgb"][1, 2] = batch.present["nir"][1, 2] = False
    found = grad_cam(model, batch, TARGETS[:4], -2)
    torch.testing.assert_close(found.logits, model(batch))
    # Equations 1 and 2 by hooks, one fruit after the other, picture by picture.
    kept = {}
    for name in model.encoders:
        layer = model.encoder(name).backbone.stages[-2]
        layer.register_forward_hook(lambda module, inputs, maps, name=name: kept.__setitem__(name, maps))
    for fruit in range(4):
        alone = replace(
            batch,
            images={name: x[fruit : fruit + 1] for name, x in batch.images.items()},
            present={name: x[fruit : fruit + 1] for name, x in batch.present.items()},
            pressure=batch.pressure[fruit : fruit + 1],
            pressure_present=batch.pressure_present[fruit : fruit + 1],
        )
        logit = model(alone)[0, TARGETS[fruit]]
        gradients = torch.autograd.grad(logit, list(kept.values()))
        for (name, maps), gradient in zip(kept.items(), gradients, strict=True):
            for sensor in ("rgb", "nir") if name == "early" else (name,):
                views = batch.present[sensor][fruit].nonzero().flatten().tolist()
                for place, view in enumerate(views):
                    alpha = gradient[place].mean(dim=(1, 2))
                    expected = sum(a * m for a, m in zip(alpha, maps[place], strict=True)).clamp_min(0)
                    torch.testing.assert_close(found.maps[sensor][fruit, view], expected.detach())
    assert (found.maps["rgb"][1, 2] == 0).all()
    assert (found.maps["nir"][1, 2] == 0).all()


def test_a_fruit_without_pictures_has_empty_maps(make_network, make_batch):
    model, batch = make_network(("rgb", "pressure"), views=2), make_batch(2, views=2)
    batch.present["rgb"][:] = False
    found = grad_cam(model, batch, TARGETS[:2])
    assert not found.maps["rgb"].any()
    torch.testing.assert_close(found.logits, model(batch))


def test_a_network_without_pictures_has_no_maps(make_network, make_batch):
    model, batch = make_network(("pressure",)), make_batch(2)
    found = grad_cam(model, batch, TARGETS[:2])
    assert found.maps == {}
    torch.testing.assert_close(found.logits, model(batch))


def test_weights_keep_no_gradients(make_network, make_batch):
    model = make_network()
    grad_cam(model, make_batch(), TARGETS)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(("side", "stage"), [(128, 2), (96, 2), (64, 1), (48, 1), (32, 1), (8, 1)])
def test_the_default_stage_is_the_deepest_with_enough_positions(make_network, side, stage):
    model = make_network()
    assert default_stage(model, side) == stage
    assert not model.training


def test_a_last_stage_that_is_averaged_leaves_nothing_to_localise(make_network, make_batch):
    model, batch = make_network(("rgb", "nir"), views=2), make_batch(views=2)
    everywhere, local = (
        grad_cam(model, batch, TARGETS, -1).maps,
        local_cam(model, batch, TARGETS, -1, smoothing=0).maps,
    )
    for name, maps in everywhere.items():
        torch.testing.assert_close(local[name], maps)


def test_the_blur_pools_neighbours(make_network, make_batch):
    model, batch = make_network(), make_batch()
    sharp = local_cam(model, batch, TARGETS, 1, smoothing=0).maps["rgb"]
    smooth = local_cam(model, batch, TARGETS, 1).maps["rgb"]

    def roughness(maps):
        return (maps.diff(dim=-1).abs().mean(dim=(1, 2, 3)) / maps.mean(dim=(1, 2, 3))).nanmean()

    assert smooth.shape == sharp.shape
    assert roughness(smooth) < 0.8 * roughness(sharp)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_several_stages_in_one_pass_are_those_of_a_pass_each(make_network, make_batch, backbone):
    model, batch = make_network(("rgb", "nir"), backbone=backbone, views=2), make_batch(views=2)
    stages = range(len(map_sides(model, 64)))[-2:]
    together = local_cams(model, batch, TARGETS, stages)
    for stage, found in zip(stages, together, strict=True):
        alone = local_cam(model, batch, TARGETS, stage)
        torch.testing.assert_close(found.logits, alone.logits)
        for name, maps in alone.maps.items():
            torch.testing.assert_close(found.maps[name], maps)


def test_depth_says_which_mark_and_the_fine_map_where():
    fine = torch.tensor([[[[9.0, 0.0, 0.0], [0.0, 4.0, 5.0], [0.0, 0.0, 1.0]]]])
    deep = torch.tensor([[[[1.0, 0.0, 0.0], [0.0, 7.0, 8.0], [0.0, 0.0, 10.0]]]])
    nir = torch.zeros(1, 1, 3, 3)
    found = within_deeper([{"rgb": fine, "nir": fine}, {"rgb": deep, "nir": nir}])
    kept = found["rgb"][0, 0]
    assert divmod(int(kept.argmax()), 3) == (1, 2), "the outline at the corner is hotter, but no mark"
    assert kept[1, 1] == 4 and kept[1, 2] == 5 and kept[2, 2] == 1
    assert 0 < kept[0, 0] < 0.01, "faint, and still in the order of before"
    assert not found["nir"].any(), "a sensor without deep evidence has none"
    assert within_deeper([{"rgb": fine}])["rgb"] is fine
    assert not within_deeper([{"rgb": fine}, {"rgb": nir}])["rgb"].any()

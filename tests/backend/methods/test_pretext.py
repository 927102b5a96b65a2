"""The tasks that images set about themselves: what is asked, and that losses are those of the papers."""

import math

import pytest
import torch
import torch.nn.functional as F

from backend.methods.base import MethodContext, PretrainBatch
from backend.methods.colourisation import colour_loss, rebalancing
from backend.methods.inpainting import block_mask, masked_loss
from backend.methods.jigsaw import normalise_patches, permutation_set
from backend.methods.lab import colour_bins, rgb_to_lab, soft_bins
from backend.methods.registry import create_method, default_method_config, list_methods
from backend.methods.rotation import rotate
from backend.models.network import ImageEncoder

PRETEXT = [info.name for info in list_methods("pretext")]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Untouched:
    """An augmenter that changes nothing."""

    def __call__(self, images, generator, *, second_view=False):
        return dict(images)


@pytest.fixture
def task(smooth_images):
    """A pretext method on 32 px RGB images and a batch for it."""

    def build(name, samples=8):
        torch.manual_seed(0)
        encoders = torch.nn.ModuleDict({"rgb": ImageEncoder("resnet10_half", 3)})
        context = MethodContext({"rgb": 3}, 32, samples, samples)
        method = create_method(default_method_config(name), encoders, Untouched(), context)
        images, numbers = {"rgb": smooth_images(samples, 3, 32)}, torch.arange(samples)
        return method, PretrainBatch(images, images, numbers, numbers, numbers)

    return build


@pytest.mark.parametrize("name", PRETEXT)
def test_gradients_reach_the_whole_encoder(task, name):
    method, batch = task(name)
    loss, metrics = method.loss(batch, generator())
    loss.backward()
    assert torch.isfinite(loss)
    assert set(metrics) == {"task_score"}
    for parameter in method.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()
    assert method.encoders["rgb"].backbone.stem[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("name", "chance"),
    [
        ("rotation", math.log(4)),
        ("jigsaw", math.log(64)),
        ("context", math.log(8)),
        ("exemplar", math.log(8)),
        ("channel_randomisation", math.log(2)),
    ],
)
def test_a_collapsed_encoder_can_only_guess(task, name, chance):
    """The best answer to features that are the same for every image has the loss of chance."""
    method, batch = task(name)
    for parameter in method.heads.parameters():
        torch.nn.init.zeros_(parameter)
    loss, _ = method.loss(batch, generator())
    assert loss.item() == pytest.approx(chance, rel=1e-5)


class TestRotation:
    def test_turns_each_image_by_its_own_angle(self, smooth_images):
        images = smooth_images(4, 2, 8)
        turned = rotate(images, torch.tensor([0, 1, 2, 3]))
        for turns in range(4):
            assert torch.equal(turned[turns], torch.rot90(images[turns], turns, (1, 2)))

    def test_copies_show_different_angles(self, task, monkeypatch):
        from backend.methods import rotation

        method, batch = task("rotation")
        asked = []
        monkeypatch.setattr(
            rotation, "rotate", lambda images, turns: asked.append(turns) or rotate(images, turns)
        )
        method.loss(batch, generator())
        first, second = asked[0].chunk(2)
        assert (first != second).all()


class TestJigsaw:
    def test_permutations_are_as_far_apart_as_can_be(self):
        """More than nine permutations of nine tiles cannot all differ everywhere; these differ in eight."""
        rows = permutation_set(64)
        assert rows.shape == (64, 9)
        assert (rows.sort(dim=1).values == torch.arange(9)).all()
        distance = (rows.unsqueeze(0) != rows.unsqueeze(1)).sum(dim=2)
        assert distance[~torch.eye(64, dtype=torch.bool)].min() == 8

    def test_tiles_lie_in_their_cells_with_gaps(self, task):
        method, _ = task("jigsaw")
        assert (method.side, method.cell) == (9, 10)
        # Images whose pixels say in which row and column they are.
        place = torch.arange(32.0)
        image = torch.stack([place.view(-1, 1).expand(32, 32), place.expand(32, 32)]).expand(20, 2, 32, 32)
        tiles = method.tiles(image, generator()).unflatten(0, (20, 9))
        for number in range(9):
            for axis, cell in enumerate((number // 3, number % 3)):
                seen = tiles[:, number, axis]
                assert seen.min() >= 10 * cell and seen.max() < 10 * (cell + 1)
                assert len(seen.amin(dim=(1, 2)).unique()) == 2

    def test_tiles_tell_nothing_by_their_light(self, smooth_images):
        tiles = normalise_patches(smooth_images(5, 3, 9))
        assert tiles.mean(dim=(2, 3)).abs().max() < 1e-5
        assert tiles.std(dim=(2, 3), correction=0).sub(1).abs().max() < 0.05


class TestContext:
    def test_patches_keep_a_gap_and_move(self, task):
        method, _ = task("context")
        column = torch.arange(32.0).expand(1, 1, 32, 32)
        cells = torch.arange(9).unsqueeze(0)
        left = method.patches(column, cells, generator())[:, 0]
        firsts, lasts = left[:, 0, 0], left[:, 0, -1]
        assert method.side == 8
        for row in range(3):
            assert firsts[3 * row + 1] - lasts[3 * row] > 1
            assert firsts[3 * row + 2] - lasts[3 * row + 1] > 1
        moved = method.patches(column, cells, generator(1))[:, 0]
        assert not torch.equal(left, moved)

    def test_the_answer_is_where_the_neighbour_lies(self, task, monkeypatch):
        """Encode each patch as its place; the pair's second half then names the right answer."""
        method, batch = task("context")
        asked = []
        real = method.patches
        monkeypatch.setattr(method, "patches", lambda x, cells, g: asked.append(cells) or real(x, cells, g))
        answers = []
        monkeypatch.setattr(F, "cross_entropy", lambda logits, target: answers.append(target) or logits.sum())
        method.loss(batch, generator())
        assert (asked[0][:, 0] == 4).all()
        neighbours = asked[0][:, 1:]
        assert (neighbours != 4).all()
        assert all(len(set(row)) == 4 for row in neighbours.tolist())
        assert answers[0].tolist() == [cell - (cell > 4) for cell in neighbours.flatten().tolist()]


class TestInpainting:
    def test_mask_hides_the_same_share_in_other_places(self):
        mask = block_mask(5, 32, 0.5, generator())
        assert mask.shape == (5, 1, 32, 32)
        assert (mask.float().mean(dim=(1, 2, 3)) == 0.5).all()
        assert not torch.equal(mask[0], mask[1])
        blocks = mask[0, 0].float().unfold(0, 4, 4).unfold(1, 4, 4)
        assert ((blocks.mean(dim=(2, 3)) == 0) | (blocks.mean(dim=(2, 3)) == 1)).all()

    def test_known_value(self):
        mask = torch.zeros(1, 1, 2, 2, dtype=torch.bool)
        mask[..., 0, :] = True
        target = torch.tensor([[[[1.0, 3.0], [50.0, 50.0]]]])
        assert masked_loss(torch.zeros_like(target), target, mask).item() == pytest.approx((1 + 9) / 2)

    def test_equals_the_paper(self):
        """Pathak et al. 2016, equation 1: the squared norm over masked entries, here as a mean."""
        random = generator()
        prediction, target = (torch.randn(3, 2, 8, 8, generator=random) for _ in range(2))
        mask = block_mask(3, 8, 0.4, random)
        total, count = 0.0, 0
        for b in range(3):
            for c in range(2):
                for y in range(8):
                    for x in range(8):
                        if mask[b, 0, y, x]:
                            total += float(prediction[b, c, y, x] - target[b, c, y, x]) ** 2
                            count += 1
        assert masked_loss(prediction, target, mask).item() == pytest.approx(total / count)

    def test_a_constant_answer_explains_nothing(self, task):
        method, batch = task("inpainting")
        for parameter in method.heads.parameters():
            torch.nn.init.zeros_(parameter)
        _, metrics = method.loss(batch, generator())
        assert metrics["task_score"].item() == pytest.approx(0, abs=1e-5)


class TestColour:
    @pytest.mark.parametrize(
        ("rgb", "lab"),
        [
            ((1, 1, 1), (100, 0, 0)),
            ((0, 0, 0), (0, 0, 0)),
            ((1, 0, 0), (53.24, 80.09, 67.20)),
            ((0, 1, 0), (87.74, -86.18, 83.18)),
            ((0, 0, 1), (32.30, 79.19, -107.86)),
        ],
    )
    def test_lab_of_known_colours(self, rgb, lab):
        image = torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1)
        assert rgb_to_lab(image).flatten().tolist() == pytest.approx(lab, abs=0.05)

    def test_bins_cover_the_gamut(self):
        colours = torch.rand(2000, 3, generator=generator())
        ab = rgb_to_lab(colours.view(-1, 3, 1, 1))[:, 1:, 0, 0]
        assert (torch.cdist(ab, colour_bins()).min(dim=1).values < 10).all()

    def test_colours_are_spread_over_their_neighbours(self):
        bins = colour_bins()
        index, share = soft_bins(torch.tensor([[10.0, 20.0], [12.0, 20.0]]), bins)
        assert bins[index[0, 0]].tolist() == [10.0, 20.0]
        assert share.sum(dim=1).tolist() == pytest.approx([1.0, 1.0])
        # Zhang et al. 2016: Gaussian of deviation 5 over the five nearest; four lie 10 away.
        assert share[0, 0].item() == pytest.approx(1 / (1 + 4 * math.exp(-2)), rel=1e-5)

    def test_rebalancing_equals_the_paper(self):
        frequency = torch.tensor([0.7, 0.2, 0.1])
        raw = [1 / (0.5 * p + 0.5 / 3) for p in (0.7, 0.2, 0.1)]
        scale = sum(p * w for p, w in zip((0.7, 0.2, 0.1), raw, strict=True))
        assert rebalancing(frequency).tolist() == pytest.approx([w / scale for w in raw])

    def test_loss_equals_the_paper(self):
        """Equation 2 with weights by the nearest bin."""
        random = generator()
        logits = torch.randn(4, 6, generator=random)
        index = torch.tensor([[0, 1], [2, 3], [5, 4], [1, 0]])
        share = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.7, 0.3], [0.6, 0.4]])
        weight = torch.rand(6, generator=random)
        total = 0.0
        for n in range(4):
            probability = F.softmax(logits[n], dim=0)
            inner = sum(float(share[n, k]) * math.log(float(probability[index[n, k]])) for k in range(2))
            total -= float(weight[index[n, 0]]) * inner
        assert colour_loss(logits, index, share, weight).item() == pytest.approx(total / 4)

    def test_one_colour_for_all_scores_badly(self):
        index, share = torch.tensor([[0], [1], [2], [3]]), torch.ones(4, 1)
        uniform = colour_loss(torch.zeros(4, 6), index, share, torch.ones(6)).item()
        assert uniform == pytest.approx(math.log(6))
        right = 5 * torch.eye(6)[:4]
        assert colour_loss(right, index, share, torch.ones(6)).item() < uniform / 2

    def test_the_frequency_of_colours_is_that_of_the_batches(self, task):
        method, _ = task("colourisation")
        for nearest in ([0, 0, 1, 2], [0, 1, 1, 1]):
            method._count(torch.tensor(nearest))
        assert method.frequency[:4].tolist() == pytest.approx([3 / 8, 4 / 8, 1 / 8, 0])

    def test_the_encoder_sees_no_colour(self, task, monkeypatch):
        method, batch = task("colourisation")
        seen = []
        real = method.last_map
        monkeypatch.setattr(method, "last_map", lambda name, x: seen.append(x) or real(name, x))
        method.loss(batch, generator())
        assert torch.equal(seen[0][:, 0], seen[0][:, 1])
        assert torch.equal(seen[0][:, 0], seen[0][:, 2])


class TestChannels:
    def test_each_image_is_seen_as_it_is_and_with_other_channels(self, task):
        method, batch = task("channel_randomisation")
        (name,) = method.usable
        seen = []
        method.encoders[name].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        method.loss(batch, generator())
        untouched, randomised = seen[0].chunk(2)
        for before, after in zip(untouched, randomised, strict=True):
            assert not torch.equal(before, after)
            assert all(any(torch.equal(channel, own) for own in before) for channel in after)

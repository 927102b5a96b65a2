"""DrLIM, pairwise cosine, triplet, SupCon, debiased: each against its paper."""

import math

import pytest
import torch
import torch.nn.functional as F

from backend.methods.cosine_pairs import cosine_pair_loss
from backend.methods.debiased import debiased_loss
from backend.methods.drlim import drlim_loss
from backend.methods.simclr import nt_xent_loss
from backend.methods.supcon import supcon_loss
from backend.methods.triplet import MINING, mine_negatives, triplet_loss


@pytest.fixture
def negative():
    """(6, 6) bool: things 0 and 1 are the same, all others differ."""
    fruit = torch.tensor([0, 0, 1, 2, 3, 4])
    return fruit.unsqueeze(1) != fruit.unsqueeze(0)


CONSTANT = torch.ones(6, 5, dtype=torch.float64)


class TestDrlim:
    def naive(self, first, second, negative, margin):
        """Hadsell et al. 2006, equation 4, with the mean over similar and over dissimilar pairs."""
        similar = [float((a - b).square().sum()) / 2 for a, b in zip(first, second, strict=True)]
        dissimilar = [
            max(0.0, margin - float((first[i] - second[j]).norm())) ** 2 / 2
            for i in range(len(first))
            for j in range(len(second))
            if negative[i, j]
        ]
        return sum(similar) / len(similar) + sum(dissimilar) / len(dissimilar)

    def test_known_value(self):
        first, second = torch.tensor([[0.0], [3.0]]), torch.tensor([[1.0], [3.0]])
        # Similar pairs 1 and 0 apart; dissimilar ones 3 and 2 apart, the margin is 2.5.
        loss = drlim_loss(first, second, ~torch.eye(2, dtype=torch.bool), 2.5)
        assert loss.item() == pytest.approx((1 + 0) / 2 / 2 + (0 + 0.5**2) / 2 / 2)

    def test_equals_the_paper(self, pair, negative):
        expected = self.naive(*pair, negative, 3.0)
        assert drlim_loss(*pair, negative, 3.0).item() == pytest.approx(expected)

    def test_collapse_scores_badly(self, pair, negative):
        collapsed = drlim_loss(CONSTANT, CONSTANT, negative, 2.0).item()
        assert collapsed == pytest.approx(2.0, abs=1e-5)
        assert drlim_loss(*pair, negative, 2.0).item() < collapsed / 2

    def test_gradients_flow_even_from_collapse(self, pair, negative, gradients_flow):
        gradients_flow(lambda a, b: drlim_loss(a, b, negative, 3.0), *pair)
        z = CONSTANT.clone().requires_grad_()
        drlim_loss(z, z, negative, 1.0).backward()
        assert torch.isfinite(z.grad).all()

    def test_without_negatives_similar_pairs_remain(self, pair):
        nothing = torch.zeros(6, 6, dtype=torch.bool)
        assert drlim_loss(pair[0], pair[0], nothing, 1.0).item() == 0


class TestCosinePairs:
    def test_known_value(self):
        z = torch.eye(2)
        # Positives at cosine 1, negatives at 0, margin -0.5.
        loss = cosine_pair_loss(z, z, ~torch.eye(2, dtype=torch.bool), -0.5)
        assert loss.item() == pytest.approx(0.25)

    def test_equals_torch(self, pair, negative):
        """torch's own loss over each kind of pair, half the weight each."""
        first, second = pair
        i, j = negative.nonzero(as_tuple=True)
        positive = F.cosine_embedding_loss(first, second, torch.ones(6), margin=0.1)
        others = F.cosine_embedding_loss(first[i], second[j], -torch.ones(len(i)), margin=0.1)
        assert cosine_pair_loss(*pair, negative, 0.1).item() == pytest.approx(float(positive + others) / 2)

    def test_collapse_scores_badly(self, pair, negative):
        assert cosine_pair_loss(CONSTANT, CONSTANT, negative, 0.0).item() == pytest.approx(0.5)
        assert cosine_pair_loss(*pair, negative, 0.0).item() < 0.3

    def test_gradients_flow(self, pair, negative, gradients_flow):
        gradients_flow(lambda a, b: cosine_pair_loss(a, b, negative, -0.9), *pair)


class TestTriplet:
    def naive(self, first, second, negative, margin, mining):
        """Schroff et al. 2015, equations 1, 3 and 4, anchor by anchor."""
        a, p = F.normalize(first, dim=1), F.normalize(second, dim=1)
        total = 0.0
        for i in range(len(a)):
            to_positive = float((a[i] - p[i]).norm())
            others = [float((a[i] - p[j]).norm()) for j in range(len(p)) if negative[i, j]]
            if mining == "semi-hard":
                beyond = [d for d in others if d > to_positive]
                chosen = min(beyond) if beyond else max(others)
            else:
                chosen = min(others)
            total += max(0.0, to_positive - chosen + margin)
        return total / len(a)

    def test_known_value(self):
        z = torch.eye(2)
        # Positives at distance 0, negatives at sqrt 2, margin 2.
        loss = triplet_loss(z, z, ~torch.eye(2, dtype=torch.bool), margin=2.0, mining="hard")
        assert loss.item() == pytest.approx(2 - math.sqrt(2), abs=1e-5)

    @pytest.mark.parametrize("mining", ["semi-hard", "hard"])
    def test_equals_the_paper(self, pair, negative, mining):
        expected = self.naive(*pair, negative, 0.7, mining)
        loss = triplet_loss(*pair, negative, margin=0.7, mining=mining)
        assert loss.item() == pytest.approx(expected, abs=1e-5)

    def test_random_mining_takes_negatives_only(self, pair, negative):
        generator = torch.Generator().manual_seed(0)
        seen = set()
        for _ in range(60):
            anchors, chosen = mine_negatives(*pair, negative, "random", generator)
            assert negative[anchors, chosen].all()
            seen |= set(chosen[anchors == 5].tolist())
        assert seen == {0, 1, 2, 3, 4}

    @pytest.mark.parametrize("mining", MINING)
    def test_collapse_scores_badly(self, pair, negative, mining):
        generator = torch.Generator().manual_seed(0)
        options = {"margin": 0.4, "mining": mining, "generator": generator}
        collapsed = triplet_loss(CONSTANT, CONSTANT, negative, **options).item()
        assert collapsed == pytest.approx(0.4, abs=1e-5)
        assert triplet_loss(*pair, negative, **options).item() < collapsed

    @pytest.mark.parametrize("mining", MINING)
    def test_gradients_flow(self, pair, negative, gradients_flow, mining):
        generator = torch.Generator().manual_seed(0)
        gradients_flow(
            lambda a, b: (
                triplet_loss(a, b, negative, margin=2.0, mining=mining, generator=generator)
                + triplet_loss(b, a, negative.T, margin=2.0, mining=mining, generator=generator)
            ),
            *pair,
        )

    def test_no_negative_at_all_is_no_loss(self, pair):
        nothing = torch.zeros(6, 6, dtype=torch.bool)
        assert triplet_loss(*pair, nothing, margin=1.0, mining="hard").item() == 0


class TestSupCon:
    CLASSES = torch.tensor([0, 0, 1, 1, 1, 2] * 2)

    def naive(self, first, second, classes, temperature):
        """Khosla et al. 2020, equation 2 (L_out)."""
        z = F.normalize(torch.cat([first, second]), dim=1)
        total = 0.0
        for i in range(len(z)):
            below = sum(math.exp(float(z[i] @ z[a]) / temperature) for a in range(len(z)) if a != i)
            positives = [p for p in range(len(z)) if p != i and classes[p] == classes[i]]
            inner = sum(math.log(math.exp(float(z[i] @ z[p]) / temperature) / below) for p in positives)
            total -= inner / len(positives)
        return total / len(z)

    def test_known_value(self):
        z = torch.eye(2)
        loss = supcon_loss(z, z, torch.tensor([0, 1, 0, 1]), 1.0)
        assert loss.item() == pytest.approx(-math.log(math.e / (math.e + 2)), abs=1e-5)

    def test_equals_the_paper(self, pair):
        expected = self.naive(*pair, self.CLASSES, 0.1)
        assert supcon_loss(*pair, self.CLASSES, 0.1).item() == pytest.approx(expected)

    def test_collapse_scores_badly(self):
        centres = torch.eye(5, dtype=torch.float64)[[0, 0, 1, 1, 1, 2]]
        collapsed = supcon_loss(CONSTANT, CONSTANT, self.CLASSES, 0.1).item()
        assert collapsed == pytest.approx(math.log(11))
        assert supcon_loss(centres, centres, self.CLASSES, 0.1).item() < collapsed

    def test_gradients_flow(self, pair, gradients_flow):
        gradients_flow(lambda a, b: supcon_loss(a, b, self.CLASSES, 0.1), *pair)


class TestDebiased:
    def naive(self, first, second, fruit, temperature, tau_plus):
        """Chuang et al. 2020, equations 7 and 8 with M = 1 positive."""
        z, twice = F.normalize(torch.cat([first, second]), dim=1), list(fruit) * 2
        half, total = len(first), 0.0
        for i in range(len(z)):
            positive = math.exp(float(z[i] @ z[(i + half) % len(z)]) / temperature)
            others = [
                math.exp(float(z[i] @ z[k]) / temperature) for k in range(len(z)) if twice[k] != twice[i]
            ]
            mean = sum(others) / len(others)
            g = max((mean - tau_plus * positive) / (1 - tau_plus), math.exp(-1 / temperature))
            total -= math.log(positive / (positive + len(others) * g))
        return total / len(z)

    def test_known_value(self, itself):
        # Positives at cosine 1, both negatives at 0, so that the correction is clamped at 2 / e.
        z = torch.eye(2)
        e = math.e
        assert (1 - 0.3 * e) / 0.7 < 1 / e
        loss = debiased_loss(z, z, itself(2), 1.0, 0.3)
        assert loss.item() == pytest.approx(-math.log(e / (e + 2 / e)))

    @pytest.mark.parametrize("fruit", [range(6), (0, 0, 1, 2, 2, 2)])
    def test_equals_the_paper(self, pair, itself, fruit):
        fruit = list(fruit)
        expected = self.naive(*pair, fruit, 0.5, 0.1)
        assert debiased_loss(*pair, itself(6, fruit), 0.5, 0.1).item() == pytest.approx(expected)

    def test_without_correction_it_is_nt_xent(self, pair, itself):
        expected = nt_xent_loss(*pair, itself(6), 0.5).item()
        assert debiased_loss(*pair, itself(6), 0.5, 0.0).item() == pytest.approx(expected)

    def test_collapse_scores_badly(self, pair, itself):
        collapsed = debiased_loss(CONSTANT, CONSTANT, itself(6), 0.5, 0.1).item()
        assert debiased_loss(*pair, itself(6), 0.5, 0.1).item() < collapsed

    def test_gradients_flow(self, pair, itself, gradients_flow):
        gradients_flow(lambda a, b: debiased_loss(a, b, itself(6), 0.5, 0.1), *pair)

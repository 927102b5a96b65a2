"""The experiments behind the comments of the results: each changes one thing and nothing else."""

from argparse import Namespace
from dataclasses import replace

import gaps  # of benchmarks/
import pytest
import torch

from backend.benchmark.networks import CH_RAND, HAMMER, ChRandNetwork
from backend.cli import run_command
from backend.config import MethodConfig, ModelConfig, OptimConfig, RunConfig
from backend.models.backbones import create_backbone


def scores(out: str) -> dict[str, float]:
    lines = (line.rsplit(maxsplit=1) for line in out.splitlines() if line.startswith("  "))
    return {name.strip(): float(value) for name, value in lines}


PLAIN = RunConfig(
    kind="pretrain",
    method=MethodConfig("channel_randomisation"),
    model=ModelConfig(backbone=CH_RAND),
    optim=OptimConfig(epochs=5, batch_size=64, learning_rate=1e-4),
)


@pytest.mark.parametrize(
    ("change", "part", "expected"),
    [
        ({}, "optim", PLAIN.optim),
        ({"steps": 12}, "optim", replace(PLAIN.optim, epochs=3)),
        ({"rate": 1e-2}, "optim", replace(PLAIN.optim, learning_rate=1e-2)),
        ({"narrower": 4}, "model", replace(PLAIN.model, backbone="ch_rand_narrower_4")),
    ],
)
def test_one_thing_is_changed_and_nothing_else(change, part, expected):
    chosen = Namespace(**({"steps": 20, "rate": 1e-4, "narrower": 1} | change))
    found = gaps.changed(PLAIN, chosen, samples=4 * 64)
    assert getattr(found, part) == expected
    assert replace(found, **{part: getattr(PLAIN, part)}) == PLAIN


def test_ch_rand_is_trained_and_scored_as_in_the_table(strawberries, tmp_path, capsys):
    asked = ["ch-rand", "--root", str(strawberries), "--out", str(tmp_path / "out"), "--threads", "1"]
    assert run_command(gaps.main, [*asked, "--case", "R", "--steps", "2", "--narrower", "8"]) == 0
    found = scores(capsys.readouterr().out)
    assert set(found) == {f"oneclass_{area}:k{k}" for area in ("auroc", "auprc") for k in (1, 5)}
    assert all(0 <= score <= 1 for score in found.values())


def test_a_narrower_network_has_narrower_convolutions_and_as_many_features():
    widths = [weights.shape[0] for weights in ChRandNetwork(3, 4).state_dict().values() if weights.ndim > 1]
    assert widths == [16, 32, 64, 128, 128, 256]
    assert ChRandNetwork(3, 4)(torch.rand(2, 3, 64, 64)).shape == (2, 256)


def test_torchs_start_changes_the_convolutions_and_is_repeatable():
    ours, first, second = (create_backbone(HAMMER, 1) for _ in range(3))
    for network in (first, second):
        network.load_state_dict(ours.state_dict())
        gaps.start_as_torch(network, seed=3)
    kept = [
        name for name, weights in ours.state_dict().items() if torch.equal(weights, first.state_dict()[name])
    ]
    assert not [name for name in kept if name.endswith("weight") and ours.state_dict()[name].ndim == 4]
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_layers_are_probed_at_each_size_after_one_training(mnist_raw, tmp_path, capsys):
    asked = ["layers", "--root", str(mnist_raw), "--out", str(tmp_path / "out"), "--threads", "1"]
    asked += ["--images", "100", "--epochs", "1", "--numbers", "256", "1152", "--plain"]
    assert run_command(gaps.main, asked) == 0
    out = capsys.readouterr().out
    assert out.count("rotation, resnet10_half_plain, 1 epochs, seed 0") == 2
    assert [name.rsplit(" ", 2)[1] for name in list(scores(out.split("rotation")[2]))] == [
        "1,152",
        "1,024",
        "1,152",
        "1,024",
    ]
    assert all(0 <= score <= 1 for score in scores(out).values())


def test_a_plain_block_is_the_residual_one_less_its_shortcut():
    block = create_backbone("resnet10_half", 1).stages[1][0]
    plain = gaps.PlainBlock(block).eval()
    maps = torch.randn(2, 32, 8, 8)
    with torch.no_grad():
        expected = block.eval()(maps)
        inner = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(maps)))))
        torch.testing.assert_close(plain(maps), torch.relu(inner))
        torch.testing.assert_close(expected, torch.relu(inner + block.downsample(maps)))
    assert inner.abs().max() > 0.1


def test_a_folder_that_is_not_there_is_one_line(capsys, tmp_path):
    assert run_command(gaps.main, ["pairwise", "--root", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'none'}: no such folder")

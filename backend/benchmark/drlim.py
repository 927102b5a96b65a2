"""Digits 4 and 9, shifted, mapped to the plane: ten clusters become two.

Hadsell, Chopra and LeCun 2006, "Dimensionality reduction by learning an invariant mapping", sections 3.1 and
3.2: 3,000 training and 1,000 test images of each digit, each also shifted by 3 and 6 px to either side.
Similar are an image's five nearest neighbours. Before: neighbours with the same shift, so every shift of
every digit is a cluster of its own. After: neighbours whatever their shift, so that shifts fall together. No
class label is used.

Two things differ from the paper, both found by experiment. Neighbours are sought among upright digits: of the
slanted ones' neighbours 3.7 % are the other digit, of these 2.5 %, and slant no longer fills the plane. And
dissimilar images weigh a tenth of similar ones: half of them are of the same digit, and pushed harder they
fill the plane evenly, while pushed less they leave only the cut that crosses fewest neighbours.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backend.benchmark.bench import Bench, Measured, Result, StudyFacts
from backend.benchmark.modes import count_modes
from backend.benchmark.shifted_digits import DIGITS, SHIFTS, SIDE, Pairs, Shifted, shift_digits
from backend.benchmark.sources import Rows, classes_of
from backend.benchmark.table import Cell, Table, pooled
from backend.config import DataConfig, MethodConfig, ModelConfig, OptimConfig, RunConfig, derive_seed
from backend.errors import DataError
from backend.evaluation.features import nearest
from backend.methods.drlim import dissimilar_loss
from backend.store.bundle import ArtifactData, CurvePoint, MetricValue
from backend.training.optim import cosine_schedule, require_finite

JUDGED = 10
"""Neighbours in the plane that are judged: of other images, since an image's own shifts are no news."""

TASKS = {"before": "neighbours of the same shift", "after": "neighbours of any shift"}
BATCH = 128
LEARNING_RATE = 5e-3
APART = 0.1
"""Weight of dissimilar pairs of one shift; pairs that are dissimilar because of their shifts weigh 1."""


@dataclass(frozen=True)
class Sizes:
    """Images of each digit, and steps."""

    train: int = 3_000
    test: int = 1_000
    steps: int = 2_000


class PlaneNetwork(nn.Module):
    """The paper's convolutional network: 6 x 6, subsampling by 3, 9 x 9, two outputs; for 40 px."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 15, 6),
            nn.ReLU(inplace=True),
            nn.AvgPool2d(3),
            nn.Conv2d(15, 30, 9),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(30 * 3 * 3, 2),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, 40, 40) in 0..1 to (B, 2)."""
        found: Tensor = self.layers(images)
        return found


def run(bench: Bench) -> None:
    """Both tasks, each seed."""
    sizes = Sizes(300, 100, 60) if bench.quick else Sizes()
    for seed in bench.seeds:
        for task in TASKS:
            config = RunConfig(
                kind="pretrain",
                method=MethodConfig(
                    "drlim", "augment", (("apart", APART), ("margin", 1.0), ("output_dim", 2))
                ),
                model=ModelConfig(backbone="plane", modalities=("grey",)),
                optim=OptimConfig(batch_size=BATCH, learning_rate=LEARNING_RATE, weight_decay=0.0),
                data=DataConfig(resolution=SIDE),
                seed=seed,
            )
            bench.cell(config, {"pairs": task}, functools.partial(_measure, bench, sizes, task))


def _measure(bench: Bench, sizes: Sizes, task: str, config: RunConfig) -> Measured:
    train, test = (
        _digits(bench, rows, count)
        for rows, count in zip(bench.parts(), (sizes.train, sizes.test), strict=True)
    )
    network, curves = train_plane(train, task, sizes.steps, config.seed, bench.device)
    plane = _embed(network, test, bench.device)
    figure = ArtifactData("plane.png", "figure", draw_plane(plane, test, TASKS[task]))
    return Measured(judge(plane, test), curves, (figure,))


def _digits(bench: Bench, rows: Rows, count: int) -> Shifted:
    names = bench.dataset.defect_names
    if not set(DIGITS) <= set(names):
        raise DataError(f"classes {', '.join(names)}", where=bench.dataset.name, expected="digits 4 and 9")
    classes = classes_of(bench.dataset, rows)
    chosen = [rows[classes == names.index(digit)][:count] for digit in DIGITS]
    pixels = bench.context(SIDE).cache.batch(np.concatenate(chosen), "grey")[:, 0, :, :, 0]
    return shift_digits(pixels, np.repeat(np.arange(len(chosen)), [len(part) for part in chosen]))


def train_plane(
    data: Shifted, task: str, steps: int, seed: int, device: str
) -> tuple[PlaneNetwork, tuple[CurvePoint, ...]]:
    """Train with the contrastive loss (margin 1).

    Args:
        data: training digits.
        task: one of ``TASKS``.
        steps: of ``BATCH`` pairs.
        seed: of everything random.
        device: where to train.

    Raises:
        TrainingError: the loss diverged.
    """
    pairs = Pairs(data, any_shift=task == "after")
    rng = np.random.default_rng(derive_seed(seed, "pairs"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))
        network = PlaneNetwork().to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    schedule = cosine_schedule(optimizer, steps, warmup=0.05)
    images, curves, total = data.images.to(device), [], 0.0
    every = max(1, steps // 20)
    for step in range(1, steps + 1):
        first, second = pairs.draw(BATCH, rng)
        unlike, moved = (mask.to(device) for mask in pairs.dissimilar(first, second))
        pictures = torch.cat([images[pair].unsqueeze(1) for pair in (first, second)])
        one, two = network(pictures).chunk(2)
        similar = (one - two).square().sum(dim=1).mean() / 2
        loss = (
            similar + APART * dissimilar_loss(one, two, unlike, 1.0) + dissimilar_loss(one, two, moved, 1.0)
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        total += float(loss.detach())
        if step % every == 0:
            require_finite(total, step)
            curves.append(CurvePoint(step // every, "train", "loss", total / every))
            total = 0.0
    return network.eval(), tuple(curves)


@torch.inference_mode()
def _embed(network: PlaneNetwork, data: Shifted, device: str) -> NDArray[np.float32]:
    """(n * S, 2), image by image."""
    pictures = data.images.flatten(0, 1).unsqueeze(1)
    return torch.cat([network(part.to(device)).cpu() for part in pictures.split(1024)]).numpy()


def judge(plane: NDArray[np.float32], data: Shifted) -> tuple[MetricValue, ...]:
    """How pure the neighbourhoods of the test pictures are, and how many clusters there are.

    Returns:
        ``purity:digit`` and ``purity:digit+shift``: share of the 10 nearest pictures of other images with the
        same digit, and with the same digit and shift. ``clusters``: the number of peaks of their density.
    """
    image, shift, digit = data.flat()
    # An image has S pictures, so so many more neighbours hold enough of other images.
    index = nearest(plane, plane, JUDGED + len(SHIFTS) - 1, skip_self=True)[1]
    others = image[index] != image[:, None]
    kept = others & (np.cumsum(others, axis=1) <= JUDGED)
    same = digit[index] == digit[:, None]
    both = same & (shift[index] == shift[:, None])
    return (
        MetricValue("purity:digit", float(same[kept].mean())),
        MetricValue("purity:digit+shift", float(both[kept].mean())),
        MetricValue("clusters", float(count_modes(plane))),
    )


def draw_plane(plane: NDArray[np.float32], data: Shifted, title: str) -> bytes:
    """A PNG of the test pictures in the plane: hue = digit, lightness = shift."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    _, shift, digit = data.flat()
    figure = Figure(figsize=(6, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for number, (name, hue) in enumerate(zip(DIGITS, ("Blues", "Oranges"), strict=True)):
        colours = colormaps[hue](np.linspace(0.35, 0.95, len(SHIFTS)))
        for place, pixels in enumerate(SHIFTS):
            x, y = plane[(digit == number) & (shift == place)].T
            axes.scatter(x, y, s=4, color=colours[place], label=f"{name}, {pixels:+d} px")
    axes.set(title=f"Digits 4 and 9, similar = {title}", aspect="equal")
    figure.legend(loc="outside right upper", fontsize=7, markerscale=2)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def tables(facts: StudyFacts, results: Sequence[Result]) -> list[Table]:
    """Before and after."""
    metrics = {"purity:digit": "same digit", "purity:digit+shift": "and same shift"}
    expected = {"before": "10", "after": "2"}
    rows: list[tuple[Cell, ...]] = []
    for task, words in TASKS.items():
        cells = [result for result in results if result.facts.get("pairs") == task]
        if cells:
            counts = ", ".join(f"{cell.score('clusters').value:.0f}" for cell in cells)
            shares = (pooled([cell.score(metric) for cell in cells]) for metric in metrics)
            rows.append((words, expected[task], counts, *shares))
    notes = (
        "Share of the 10 nearest pictures of other test images; mean over seeds and its 95 % t interval.",
        "Clusters, a number for each seed: peaks of density, twice as high as the pass between them.",
        "Figure: each run's plane.png.",
    )
    columns = ("similar", "clusters, published", "clusters", *metrics.values())
    return [Table(f"{facts.dataset}: 4 and 9 with shifts of 3 and 6 px", columns, tuple(rows), notes)]

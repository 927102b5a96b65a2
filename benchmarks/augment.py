"""Views per second of the batched augmentation beside lightly's SimCLRTransform, in one run.

``python benchmarks/augment.py [--json]``. The peer runs as its documentation shows it: one process, PIL
images, one after the other, two views each. Ours starts from the stored 8-bit batch, conversion to float
included, and makes two views of it. Both are repeated in turn, so that a busy machine slows both; the
medians are reported. Ratios travel to other machines, times do not.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from backend.cli import EXIT_OK, print_json, run_command
from backend.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

PEER_IMAGES = 64
POLICIES = ("simclr", "byol", "fruit", "pad_rotate_scale")
BATCHES = {32: 256, 64: 128}
BATCH = 64


@dataclass(frozen=True)
class Row:
    """One line of the result: what ran, how fast, and how much faster than the peer at that size."""

    resolution: int
    what: str
    threads: int
    views_per_second: float
    ratio: float


def measure(resolution: int, rounds: int, threads: int) -> list[Row]:
    """Time the peer and every policy in turn at one resolution.

    Args:
        resolution: side of the images in pixels.
        rounds: timed repeats, after one that is not timed.
        threads: CPU threads of the batched augmentation, which is timed with one thread too.
    """
    import torch

    pixels = torch.randint(
        0,
        256,
        (BATCHES.get(resolution, BATCH), resolution, resolution, 3),
        dtype=torch.uint8,
        generator=torch.Generator().manual_seed(0),
    )
    tasks: dict[tuple[str, int], Callable[[], int]] = {("lightly SimCLRTransform", 1): _peer(pixels)}
    for count in dict.fromkeys((1, threads)):
        for policy in POLICIES:
            tasks[policy, count] = _ours(pixels, policy, count)
    speeds: dict[tuple[str, int], list[float]] = {task: [] for task in tasks}
    for repeat in range(rounds + 1):
        for task, run in tasks.items():
            start = time.perf_counter()
            views = run()
            if repeat:
                speeds[task].append(views / (time.perf_counter() - start))
        print(f"\r{resolution} px: {repeat}/{rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    medians = {task: statistics.median(values) for task, values in speeds.items()}
    peer = medians["lightly SimCLRTransform", 1]
    return [
        Row(resolution, what, count, round(speed, 1), round(speed / peer, 2))
        for (what, count), speed in medians.items()
    ]


def _peer(pixels: Tensor) -> Callable[[], int]:
    from lightly.transforms.simclr_transform import SimCLRTransform
    from PIL import Image

    transform = SimCLRTransform(input_size=pixels.shape[1])
    pictures = [Image.fromarray(image) for image in pixels[:PEER_IMAGES].numpy()]

    def run() -> int:
        return sum(len(transform(picture)) for picture in pictures)

    return run


def _ours(pixels: Tensor, policy: str, threads: int) -> Callable[[], int]:
    import torch

    from backend.augment.pipeline import Augmenter, to_float
    from backend.config import AugmentConfig

    augmenter = Augmenter(AugmentConfig(policy=policy), pixels.shape[1])
    generator = torch.Generator().manual_seed(0)

    def run() -> int:
        torch.set_num_threads(threads)
        views = 0
        # As many batches as make a measurement of tens of milliseconds.
        for _ in range(4):
            images = {"rgb": to_float(pixels)}
            for second in (False, True):
                views += len(augmenter(images, generator, second_view=second)["rgb"])
        return views

    return run


def main(argv: list[str] | None = None) -> int:
    """Measure at every resolution and print the table or the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks/augment.py", description=__doc__)
    parser.add_argument("--resolutions", type=int, nargs="+", default=list(BATCHES), metavar="PX")
    parser.add_argument("--rounds", type=int, default=15, help="timed repeats, default 15")
    parser.add_argument("--threads", type=int, default=0, help="default: every core")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args(argv)
    if args.rounds < 1 or args.threads < 0 or min(args.resolutions) < 8:
        raise ConfigError(
            f"rounds {args.rounds}, threads {args.threads}, resolutions {args.resolutions}",
            expected="rounds of 1 or more, threads of 0 or more, resolutions of 8 px or more",
        )

    import torch

    threads = args.threads or torch.get_num_threads()
    rows = [row for size in args.resolutions for row in measure(size, args.rounds, threads)]
    if args.json:
        print_json([asdict(row) for row in rows])
    else:
        _print_table(rows)
    return EXIT_OK


def _print_table(rows: Sequence[Row]) -> None:
    print("| px | augmentation | threads | views/s | times the peer |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.resolution} | {row.what} | {row.threads} "
            f"| {row.views_per_second:,.0f} | {row.ratio:.1f} |"
        )


if __name__ == "__main__":
    raise SystemExit(run_command(main))

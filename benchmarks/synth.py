"""Synthetic fruit per second on one core, files included.

``python benchmarks/synth.py [--json]``. Each round makes a data set of 64 px in a new temporary folder with
one worker. The processor's time is reported beside the clock's: on a machine that others use, too, the
former is what one core can do. The work is split into drawing (numpy) and writing (PNG and tables).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from backend.cli import EXIT_OK, print_json, run_command
from backend.data.synth import make_dataset
from backend.data.synth.fruit import PALLET_SIZE, pallet_generator
from backend.data.synth.make import Request, draw_avocados
from backend.data.synth.render import render

GOAL = 100.0
"""Fruit (of 8 pictures) a second on one core that the project promises."""


@dataclass(frozen=True)
class Result:
    """Medians over the rounds.

    Attributes:
        fruits: made in each round.
        size: pixels a side.
        fruits_per_cpu_second: per second of this process on a processor.
        fruits_per_second: per second of the clock.
        drawn_per_cpu_second: the same without files.
        pictures_per_cpu_second: 8 a fruit.
        kilobytes_per_fruit: on disk.
        goal_met: whether ``fruits_per_cpu_second`` reaches ``GOAL``.
    """

    fruits: int
    size: int
    fruits_per_cpu_second: float
    fruits_per_second: float
    drawn_per_cpu_second: float
    pictures_per_cpu_second: float
    kilobytes_per_fruit: float
    goal_met: bool


def measure(fruits: int, rounds: int, size: int = 64) -> Result:
    """Make ``fruits`` fruit ``rounds`` times, after one pallet that is not timed."""
    cpu, clock, drawing = [], [], []
    weight = 0
    with tempfile.TemporaryDirectory() as folder:
        make_dataset(Path(folder, "warm"), PALLET_SIZE, seed=0, size=size, progress=False)
        for number in range(rounds):
            out = Path(folder, str(number))
            cpu_start, clock_start = time.process_time(), time.perf_counter()
            make_dataset(out, fruits, seed=number, size=size, progress=False)
            cpu.append(fruits / (time.process_time() - cpu_start))
            clock.append(fruits / (time.perf_counter() - clock_start))
            drawing.append(_draw_only(Request(fruits, number, size)))
            weight = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    rate = statistics.median(cpu)
    return Result(
        fruits=fruits,
        size=size,
        fruits_per_cpu_second=rate,
        fruits_per_second=statistics.median(clock),
        drawn_per_cpu_second=statistics.median(drawing),
        pictures_per_cpu_second=8 * rate,
        kilobytes_per_fruit=weight / fruits / 1000,
        goal_met=rate >= GOAL,
    )


def _draw_only(request: Request) -> float:
    """Fruit per processor second without any file."""
    start = time.process_time()
    for pallet in range(request.pallets):
        rng = pallet_generator(request.seed, pallet)
        batch = draw_avocados(request, pallet, rng)
        render(rng, batch.fruit, batch.pallet, batch.painters, request.size)
    return request.fruits / (time.process_time() - start)


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Synthetic fruit per second on one core, files included.")
    parser.add_argument("--fruits", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    result = measure(arguments.fruits, arguments.rounds, arguments.size)
    if arguments.json:
        print_json(asdict(result))
        return EXIT_OK
    for name, value in asdict(result).items():
        print(f"{name:24} {value:.1f}" if isinstance(value, float) else f"{name:24} {value}")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(run_command(main))

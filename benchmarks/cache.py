"""How fast the image cache is built and read: ``python benchmarks/cache.py [--json]``.

Build: images per second of ``open_cache`` against Pillow alone decoding the same files to arrays, both in as
many processes as there are cores, with the files in the page cache, in turns in one run (goal >= 90 %).
Beside it, Pillow that also writes its arrays to one file a task: what a cache on disk could reach at best.

Read: seconds to read one batch of all modalities against one training step (forward, backward, AdamW) of the
default network on that batch (goal < 3 %).
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from backend.data.cache import ImageCache, open_cache
from backend.data.dataset import FruitDataset
from backend.data.manifest import read_dataset
from backend.data.parallel import available_cores, map_in_processes
from backend.data.synth import make_dataset

FILES_PER_TASK = 64
BUILD_GOAL, READ_GOAL = 0.9, 0.03


def decode_with_pillow(paths: list[str]) -> int:
    """Decode ``paths`` to arrays and drop them; returns the number of values, so that nothing is skipped."""
    total = 0
    for path in paths:
        with Image.open(path) as image:
            total += np.asarray(image).size
    return total


def decode_and_write(task: tuple[list[str], Path]) -> int:
    """The same, and write the arrays to the file of ``task``."""
    paths, target = task
    with target.open("wb") as file:
        for path in paths:
            with Image.open(path) as image:
                file.write(np.asarray(image).data)
        return file.tell()


def pillow(files: list[str], workers: int, target: Path | None = None) -> None:
    """Decode ``files`` in ``workers`` processes, started as the cache starts its own; write to ``target``."""
    tasks = [files[start : start + FILES_PER_TASK] for start in range(0, len(files), FILES_PER_TASK)]
    sizes = [len(task) for task in tasks]
    settings: Any = {"workers": workers, "description": "Pillow", "progress": True}
    if target is None:
        done = map_in_processes(decode_with_pillow, tasks, sizes, **settings)
    else:
        places = [(task, target / f"{number}.raw") for number, task in enumerate(tasks)]
        done = map_in_processes(decode_and_write, places, sizes, **settings)
    for _ in done:
        pass


def seconds(work: Callable[[], Any]) -> float:
    """Wall time of ``work``."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure_build(dataset: FruitDataset, resolution: int, cache_dir: Path, repeats: int) -> dict[str, float]:
    """Medians over ``repeats`` turns of Pillow alone and of the cache."""
    files = [f"{dataset.root}/{path}" for column in dataset.paths.values() for path in column if path]
    workers = available_cores()
    alone, written, built = [], [], []
    for _ in range(repeats):
        alone.append(seconds(lambda: pillow(files, workers)))
        with tempfile.TemporaryDirectory(dir=cache_dir) as target:
            written.append(seconds(partial(pillow, files, workers, Path(target))))
        for old in cache_dir.glob("images-*px"):
            shutil.rmtree(old)
        built.append(seconds(lambda: open_cache(dataset, resolution, cache_dir, workers=workers)))
    return {
        "images": len(files),
        "workers": workers,
        "pillow_images_per_second": len(files) / statistics.median(alone),
        "cache_images_per_second": len(files) / statistics.median(built),
        "written_images_per_second": len(files) / statistics.median(written),
        "cache_share_of_pillow": median_ratio(alone, built),
        "cache_share_of_written": median_ratio(written, built),
        "second_open_seconds": seconds(lambda: open_cache(dataset, resolution, cache_dir)),
    }


def median_ratio(theirs: list[float], ours: list[float]) -> float:
    """How fast we are as a share of theirs, turn by turn."""
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


def measure_read(
    dataset: FruitDataset, cache: ImageCache, batch_size: int, batches: int, steps: int
) -> dict[str, float]:
    """Median seconds of reading one batch and of one training step on it."""
    rng = np.random.default_rng(0)
    draws = [rng.permutation(len(cache))[:batch_size] for _ in range(batches)]
    reading = [seconds(partial(read_batch, cache, rows)) for rows in draws]
    step = training_step(dataset, cache, draws[0])
    step()  # the first one also allocates
    training = [seconds(step) for _ in range(steps)]
    return {
        "batch_fruit": batch_size,
        "read_seconds": statistics.median(reading),
        "step_seconds": statistics.median(training),
        "read_share_of_step": statistics.median(reading) / statistics.median(training),
    }


def read_batch(cache: ImageCache, rows: np.ndarray) -> None:
    """Read all modalities of the fruit ``rows``."""
    for name in cache.modalities:
        cache.batch(rows, name)


def training_step(dataset: FruitDataset, cache: ImageCache, rows: np.ndarray) -> Callable[[], None]:
    """One step of the default network on the fruit ``rows``, whose batch stays in memory."""
    import torch

    from backend.config import ModelConfig
    from backend.models.network import FruitNetwork
    from backend.training.feed import FruitFeed

    torch.set_num_threads(available_cores())
    feed = FruitFeed(dataset, cache, cache.modalities, "cpu")
    network = FruitNetwork(ModelConfig(modalities=cache.modalities), feed.spec)
    network = network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters())
    batch = feed.batch(rows)
    targets = batch.labels.nan_to_num(0)

    def step() -> None:
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(network(batch), targets).backward()
        optimiser.step()

    return step


def report(result: dict[str, Any]) -> str:
    """The result as a small table."""
    rows = [
        ("Pillow alone", f"{result['pillow_images_per_second']:.0f} images/s", ""),
        (
            "cache build",
            f"{result['cache_images_per_second']:.0f} images/s",
            f"{result['cache_share_of_pillow']:.1%} of Pillow alone (goal {BUILD_GOAL:.0%})",
        ),
        (
            "Pillow, writing",
            f"{result['written_images_per_second']:.0f} images/s",
            f"the cache build is {result['cache_share_of_written']:.1%} of it",
        ),
        ("second open", f"{result['second_open_seconds'] * 1e3:.0f} ms", ""),
        ("training step", f"{result['step_seconds'] * 1e3:.0f} ms", f"{result['batch_fruit']} fruit"),
        (
            "batch read",
            f"{result['read_seconds'] * 1e3:.2f} ms",
            f"{result['read_share_of_step']:.2%} of the step (goal {READ_GOAL:.0%})",
        ),
    ]
    return "\n".join(f"{name:15s} {value:>16s}  {note}".rstrip() for name, value, note in rows)


def main() -> None:
    """Make the data set, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fruits", type=int, default=2000)
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels")
    parser.add_argument("--resolution", type=int, default=128, help="side in the cache in pixels")
    parser.add_argument("--batch", type=int, default=32, help="fruit a batch")
    parser.add_argument("--repeats", type=int, default=3, help="turns of the build")
    parser.add_argument("--steps", type=int, default=3, help="training steps")
    parser.add_argument("--folder", type=Path, help="keep the data set here (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cache-benchmark-") as temporary:
        root = (options.folder or Path(temporary)) / f"avocados-{options.fruits}-{options.size}px"
        cache_dir = Path(temporary) / "cache"
        make_dataset(root, options.fruits, seed=0, size=options.size, workers=available_cores())
        dataset = read_dataset(root, cache_dir=cache_dir)
        result: dict[str, Any] = {
            "fruits": options.fruits,
            "size": options.size,
            "resolution": options.resolution,
            "machine": platform.processor() or platform.machine(),
            **measure_build(dataset, options.resolution, cache_dir, options.repeats),
        }
        cache = open_cache(dataset, options.resolution, cache_dir)
        result |= measure_read(dataset, cache, options.batch, batches=50, steps=options.steps)
    print(json.dumps(result, indent=2) if options.json else report(result))


if __name__ == "__main__":
    main()

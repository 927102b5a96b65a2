"""Steps of a pretraining on images made by formula: what throughput is measured on."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from backend.training.pretrain_loop import Pretraining

IMAGES = 1024


@dataclass(frozen=True)
class Setting:
    """What is timed: side of the images, samples a step, steps a repeat, repeats, device, backbone."""

    size: int
    batch: int
    steps: int
    repeats: int
    device: str
    backbone: str
    workers: int


def write_images(folder: Path, size: int) -> None:
    """A data set folder of smooth random JPEG images, and nothing else in ``pixels`` for the peer."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    (folder / "pixels").mkdir()
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["fruit_id", "label", "image:rgb:1"])
        for number in range(IMAGES):
            path = f"pixels/{number}.jpg"
            coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            coarse.resize((size, size), Image.Resampling.BICUBIC).save(folder / path, quality=95)
            table.writerow([f"f{number}", ("good", "bad")[number % 2], path])
    (folder / "dataset.toml").write_text(
        'name = "noise"\ntask = "multiclass"\nhealthy = "good"\nsynthetic = true\n'
        'description = ""\nlicence = ""\nsource = ""\n'
        + "".join(f'[[defect]]\nname = "{name}"\nkind = "other"\n' for name in ("good", "bad"))
    )


def make_training(method: str, folder: Path, setting: Setting) -> Pretraining:
    """A pretraining by this project on the images in ``folder``."""
    import numpy as np

    from backend.config import AugmentConfig, DataConfig, ModelConfig, RunConfig
    from backend.data.cache import open_cache
    from backend.data.manifest import read_dataset
    from backend.methods.registry import (
        compatible_augment,
        default_method_config,
        default_optim,
        method_info,
    )
    from backend.training.feed import FruitFeed
    from backend.training.pretrain_loop import Pretraining, make_pool

    dataset = read_dataset(folder)
    cache = open_cache(dataset, setting.size, folder / "cache", progress=False)
    config = RunConfig(
        kind="pretrain",
        method=default_method_config(method),
        model=ModelConfig(backbone=setting.backbone),
        # The paper's augmentation, as the peer's: it does more than this project's default for fruit.
        augment=compatible_augment(method, AugmentConfig(method_info(method).paper_policy or "simclr")),
        optim=default_optim(method, epochs=1000, batch_size=setting.batch),
        data=DataConfig(resolution=setting.size),
    )
    feed = FruitFeed(dataset, cache, ("rgb",), setting.device)
    pool = make_pool(config, feed, np.arange(len(dataset)), dataset.labels)
    training = Pretraining(config, feed, pool, 0, setting.batch)
    training.method.train()
    return training


class _FixedViews:
    """Stands in for the augmenter: always the views that it made first."""

    def __init__(self, real: Callable[..., dict[str, Tensor]]) -> None:
        self._real = real
        self._made: dict[bool, dict[str, Tensor]] = {}

    def __call__(
        self, images: Mapping[str, Tensor], generator: torch.Generator, *, second_view: bool = False
    ) -> dict[str, Tensor]:
        if second_view not in self._made:
            self._made[second_view] = self._real(images, generator, second_view=second_view)
        return self._made[second_view]


def stepper(training: Pretraining, *, limit: bool) -> Callable[[int], float]:
    """A function that does so many steps and returns the seconds of one."""
    import torch

    generator = torch.Generator(training.device).manual_seed(0)
    if limit:
        training.method.replace_augmenter(_FixedViews(training.method.augmenter))
    fixed = None
    epoch = 0

    def run(steps: int) -> float:
        nonlocal fixed, epoch
        done, started = 0, time.perf_counter()
        while done < steps:
            epoch += 1
            for chosen, rng in training.order.epoch(epoch):
                if fixed is None or not limit:
                    fixed = training.samples.batch(chosen, rng)
                training.method.set_progress(done, training.total)
                training.step(fixed, generator)
                done += 1
                if done == steps:
                    break
        if training.device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - started) / steps

    run(2)
    return run

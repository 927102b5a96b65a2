"""The data set a benchmark runs on: a collection as published, imported once, or a data set folder."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.benchmark.options import REAL_DATA, Options
from backend.benchmark.registry import Benchmark
from backend.data.dataset import Defect, FruitDataset
from backend.data.fingerprint import short_hash
from backend.data.importers.registry import KINDS, import_dataset
from backend.data.importers.source import lies_inside, source_fingerprint
from backend.data.manifest import read_dataset
from backend.data.problem import MANIFEST_FILE
from backend.errors import ConfigError, DataError, unknown_name

FOLDS = 5
"""Parts that a data set without a split of its own is cut into; the first is the test part."""

Rows = NDArray[np.int64]


def open_source(benchmark: Benchmark, options: Options) -> FruitDataset:
    """The data set that a benchmark is to run on.

    Collections are imported into ``datasets/`` beside the store, once, and again where they have changed; a
    folder with a manifest is read as it is.

    Raises:
        ConfigError: a kind that the protocol cannot use, or no root.
        DataError: the collection is not where it should be, or is damaged.
    """
    if not benchmark.data:
        return no_data()
    kind = options.data or benchmark.data
    if (Path(kind) / MANIFEST_FILE).is_file() and not benchmark.kinds:
        return read_dataset(Path(kind), cache_dir=options.cache)
    valid = benchmark.kinds or tuple(KINDS)
    if kind not in valid:
        raise unknown_name("kind of data", kind, valid, "--data")
    root = options.root_of(kind)
    if root is None:
        raise ConfigError(
            f"no folder for {kind}",
            where=f"benchmark {benchmark.name}",
            expected=f"--root DIR, or {REAL_DATA} set to a folder with {kind}/ in it",
            action="say where the collection lies",
        )
    _require_files(benchmark, root, options.split)
    # A root that holds the store is never the same twice.
    state = "" if lies_inside(options.store, root) else source_fingerprint(root)
    name = f"{kind}-{short_hash([str(root.resolve()), state])[:8]}"
    folder = options.store.parent / "datasets" / name
    import_dataset(kind, str(root), folder, progress=sys.stderr.isatty())
    return read_dataset(folder, cache_dir=options.cache)


def _require_files(benchmark: Benchmark, root: Path, split: int) -> None:
    """Ask for what a protocol reads beside pictures before thousands of these are copied."""
    needed = benchmark.needs.format(split=split)
    if needed and root.is_dir() and next(root.glob(needed), None) is None:
        raise DataError(
            f"no {needed}",
            where=str(root),
            expected=f"{benchmark.data} as published",
            action="get the whole data set, or choose another --split",
        )


def no_data() -> FruitDataset:
    """What measurements of speed stand under: a data set without fruit."""
    return FruitDataset(
        root=Path(),
        name="no data (speed)",
        task="multiclass",
        healthy="",
        synthetic=True,
        description="measurements of speed, on images and stores made on the spot",
        licence="",
        source="this project",
        defects=(Defect("none"),),
        fruit_ids=(),
        groups=(),
        fixed_split=None,
        labels=np.zeros((0, 1), np.float32),
        pressure_names=(),
        pressures=np.zeros((0, 0), np.float32),
        modalities={},
        paths={},
        dataset_id="0" * 16,
        label_version="0" * 16,
    )


def classes_of(dataset: FruitDataset, rows: Rows) -> Rows:
    """(n,) class number of labelled rows of a multiclass data set."""
    return dataset.labels[rows].argmax(axis=1).astype(np.int64)


def draw(dataset: FruitDataset, rows: Rows, count: int, seed: int) -> Rows:
    """At most ``count`` of ``rows``, every class in its share, in ascending order."""
    from backend.data.splits import stratified_order

    if count >= len(rows):
        return np.sort(rows)
    order = stratified_order(classes_of(dataset, rows), np.random.default_rng(seed))
    return np.sort(rows[order[:count]])

"""A data set as rows: what the dashboard shows of it without opening the folder."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from backend.store.rows import compact_json

if TYPE_CHECKING:  # the store stands below the data package: it knows the type, not the module
    from backend.data.dataset import FruitDataset


def dataset_row(dataset: FruitDataset, warnings: list[str]) -> dict[str, Any]:
    """The row of table ``dataset``.

    Args:
        dataset: n fruit.
        warnings: what ``check`` found that does not stop a study.
    """
    spec = {
        "healthy": dataset.healthy,
        "defects": [dataclasses.asdict(defect) for defect in dataset.defects],
        "modalities": dataset.modalities,
        "pressures": dataset.pressure_names,
        "description": dataset.description,
        "licence": dataset.licence,
        "source": dataset.source,
    }
    return {
        "dataset_id": dataset.dataset_id,
        "name": dataset.name,
        "task": dataset.task,
        "synthetic": int(dataset.synthetic),
        "n_fruits": len(dataset),
        "n_labelled": int(dataset.labelled.sum()),
        "spec": compact_json(spec),
        "label_version": dataset.label_version,
        "root": str(dataset.root.resolve()),
        "warnings": compact_json(warnings),
    }


def fruit_rows(dataset: FruitDataset) -> list[dict[str, Any]]:
    """The n rows of table ``fruit``, in the order of the manifest."""
    names, readings = dataset.defect_names, dataset.pressure_names
    labels, pressures = dataset.labels.tolist(), dataset.pressures.tolist()
    return [
        {
            "dataset_id": dataset.dataset_id,
            "fruit_id": fruit_id,
            "fruit_group": dataset.groups[row],
            "labels": compact_json(
                {name: _label(value) for name, value in zip(names, labels[row], strict=True)}
            ),
            "pressures": compact_json(dict(zip(readings, pressures[row], strict=True))),
            "images": compact_json(_images(dataset, row)),
            "position": row,
        }
        for row, fruit_id in enumerate(dataset.fruit_ids)
    ]


def _label(value: float) -> int | None:
    return None if math.isnan(value) else int(value)


def _images(dataset: FruitDataset, row: int) -> dict[str, dict[str, str]]:
    """Modality to view to path of one fruit, missing views left out."""
    images: dict[str, dict[str, str]] = {}
    for (modality, view), paths in dataset.paths.items():
        if paths[row]:
            images.setdefault(modality, {})[view] = paths[row]
    return images

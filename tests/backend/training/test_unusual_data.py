"""A whole study on fruit that look like no data of ours: other sensors, views, classes and gaps."""

import csv
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.training.plan import Plan
from backend.training.settings import (
    AugmentationStage,
    BaselineStage,
    DataReportStage,
    ExplanationStage,
    InputAblationStage,
    PretrainingStage,
)
from backend.training.study import StudyOptions, run_study
from dashboard.pages import PAGES

FRUIT = 32
TOML = """
name = "Obst & \\"Früchte\\""
task = "multiclass"
[[defect]]
name = "größe, <a>"
[[defect]]
name = "b/c:\\"d\\""
"""
PLAN = Plan(
    name="tiny",
    folds=2,
    resolution=16,
    baseline=BaselineStage(trials=1, generation=1, tune_epochs=1, epochs=1, min_steps=2, backbones=("tiny",)),
    pretraining=PretrainingStage(methods=("simclr",), epochs=1, batch_size=8, fractions=(0.05,)),
    input_ablation=InputAblationStage(enabled=True, repeats=1),
    augmentations=AugmentationStage(
        method="supervised", operations=("rotation",), pairs=False, strengths=(), epochs=1, confirm=0
    ),
    explanations=ExplanationStage(enabled=True, per_outcome=1, curves=1),
    data_report=DataReportStage(enabled=True),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, none healthy; two sensors without a view in common, a third that never worked.

    One sensor has a name that torch uses, another that of stacked sensors; pictures are JPEG or 16 bit, not
    square and of several sizes; a view in four is missing, and so is everything of the first fruit.
    """
    root = tmp_path_factory.mktemp("unusual")
    rng = np.random.default_rng(0)
    header = ["fruit_id", "group", "label", "pressure:µ, %"]
    header += ["image:type:a", "image:type:b", "image:early:left", "image:early:right", "image:dead:1"]
    rows = []
    for i in range(FRUIT):
        size = (int(rng.integers(9, 30)), int(rng.integers(9, 30)))
        light = 90 + 80 * (i % 2)
        cells = []
        for view in "ab":
            pixels = rng.normal(light, 20, (*size, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / f"{i}{view}.jpg")
            cells.append(f"{i}{view}.jpg")
        for view in ("left", "right"):
            pixels = rng.normal(8 * light, 50, size).clip(0, 4095).astype(np.uint16)
            Image.fromarray(pixels).save(root / f"{i}{view}.tif")
            cells.append(f"{i}{view}.tif")
        cells = [cell if i and rng.random() < 0.75 else "" for cell in cells]
        label = ("größe, <a>", 'b/c:"d"')[i % 2] if i % 8 else ""
        rows.append([f"f{i}", f"lot «{i // 3}»", label, "" if i % 3 else f"{light}", *cells, ""])
    with (root / "manifest.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, lineterminator="\r\n").writerows([header, *rows])
    (root / "dataset.toml").write_text(TOML, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def study(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, tiny_backbone: str
) -> tuple[Path, dict[str, Any]]:
    """The store after every stage, and the summary."""
    out = tmp_path_factory.mktemp("study")
    options = StudyOptions(folder, out / "store.db", out / "cache", workers=0, quiet=True, device="cpu")
    return options.store, run_study(PLAN, options)


@pytest.mark.slow
def test_every_stage_runs_on_unusual_data(study):
    path, summary = study
    assert summary["failed"] == [] and set(summary["runs"]) == {"complete"}
    assert "ERROR" not in Path(summary["log"]).read_text(encoding="utf-8")
    with closing(sqlite3.connect(path)) as store:
        kinds = Counter(kind for (kind,) in store.execute("SELECT kind FROM run"))
        assert {"baseline", "pretrain", "finetune", "probe"} <= set(kinds)
        (sensors,) = store.execute(
            "SELECT DISTINCT modalities FROM run WHERE purpose = 'final' AND kind = 'baseline'"
        )
        assert sensors == ('["type","early","pressure"]',), "the sensor that never worked is left out"
        subsets = {
            modalities
            for (modalities,) in store.execute("SELECT DISTINCT modalities FROM run WHERE kind = 'baseline'")
        }
        assert len(subsets) == 7
        reasons = dict(store.execute("SELECT metric, reason FROM metric WHERE metric LIKE 'oneclass%'"))
        assert set(reasons.values()) == {"fewer than two sound fruit to learn from"}
        explained = {sensor for (sensor,) in store.execute("SELECT DISTINCT modality FROM attribution")}
        assert explained == {"type", "early"}


@pytest.mark.slow
@pytest.mark.parametrize("page", [entry.name for entry in PAGES])
def test_every_page_opens_on_unusual_data(study, open_page, page):
    path, _ = study
    app = open_page(path, page)
    assert app.title or app.header
    for choice in app.selectbox(key="defect").options[1:2]:
        assert open_page(path, page, defect=choice).selectbox(key="defect").value == choice

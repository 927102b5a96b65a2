"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of the tree.

A code block names its file after the language: ``python`` blocks are new files, ``diff`` blocks change files
that are there. What they add then does its work: pictures are imported, get a sensor, a study pretrains with
the new method and tries the new augmentation, the store holds the new metric, the dashboard draws the new
page.
"""

import csv
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
NAMES = ("method", "augmentation", "metric", "page", "modality", "importer")
BLOCK = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLAN = """
name = "recipes"
folds = 2
resolution = 32
[baseline]
trials = 1
generation = 1
tune_epochs = 1
epochs = 2
patience = 0
min_steps = 0
[pretraining]
methods = ["align_uniform"]
epochs = 1
batch_size = 16
fractions = [1.0]
min_steps = 0
[augmentations]
method = "supervised"
operations = ["gamma"]
pairs = false
leave_one_out = false
strengths = []
epochs = 1
confirm = 0
seeds = [1]
"""
PAGE = """
from streamlit.testing.v1 import AppTest
script = '''
from pathlib import Path
from dashboard.window import drawing
from dashboard.pages import PAGES
drawing(next(entry for entry in PAGES if entry.name == "labels"), Path("out/store.db"))()
'''
app = AppTest.from_string(script, default_timeout=60).run()
assert not app.exception, app.exception
print(app.title[0].value.replace("\\\\", "").replace("\\N{NO-BREAK SPACE}", " "))
"""


@dataclass(frozen=True)
class Block:
    """One code block of a recipe."""

    language: str
    path: str
    text: str

    def apply(self, tree: Path) -> None:
        """Write the new file, or change the one that is there."""
        file = tree / self.path
        if self.language != "diff":
            assert not file.exists(), f"{self.path} is there already"
            file.write_text(self.text)
            return
        lines = self.text.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] != "+")
        after = "".join(line[1:] for line in lines if line[0] != "-")
        text = file.read_text()
        assert text.count(before) == 1, f"{self.path} holds {text.count(before)} times:\n{before}"
        file.write_text(text.replace(before, after))


def recipe(name: str) -> list[Block]:
    """The blocks under ``### Add a NAME``."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = re.search(rf"^### Add an? {name}$(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL)
    assert section, f"CONTRIBUTING.md has no recipe for a {name}"
    return [Block(*found) for found in BLOCK.findall(section[1])]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_makes_one_file_at_most(name):
    blocks = recipe(name)
    assert blocks
    assert sum(block.language != "diff" for block in blocks) <= 1
    for block in blocks:
        if block.language == "diff":
            assert sum(line.startswith("+") for line in block.text.splitlines()) <= 6, block.path


def draw_fruit(folder: Path, fruits: int = 32) -> None:
    """Pictures of green and brown fruit, two of each group, with the table that the importer reads."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(fruits):
        brown = i % 4 == 0
        pixels = rng.normal((120, 80, 40) if brown else (60, 140, 60), 12, (16, 16, 3)).clip(0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"p{i:02d}.png")
        rows.append((f"p{i:02d}.png", "rot" if brown else "fine", f"crate{i // 2}"))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "group"), *rows])


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of the tree with every recipe in it."""
    tree = tmp_path_factory.mktemp("house")
    for name in ("backend", "dashboard", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    for name in NAMES:
        for block in recipe(name):
            block.apply(tree)
    return tree


@pytest.fixture(scope="module")
def run(house):
    """Runs Python in the copy and returns what it printed."""

    def python(*arguments: str) -> str:
        line = [sys.executable, *arguments]
        environment = os.environ | {"PYTHONPATH": str(house)}
        done = subprocess.run(
            line, cwd=house, env=environment, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return python


@pytest.fixture(scope="module")
def fruit(house, run):
    """A data set by the new importer, with the new sensor in it."""
    (house / "pictures").mkdir()
    draw_fruit(house / "pictures")
    run("-m", "backend.data", "import", "labelled-csv", "pictures", "fruit", "--quiet")
    (house / "fruit/images/thermal").mkdir()
    for picture in (house / "pictures").glob("*.png"):
        Image.open(picture).convert("L").save(house / "fruit/images/thermal" / picture.name)
    run("add_thermal.py", "fruit")
    return house / "fruit"


@pytest.fixture(scope="module")
def ask(house, fruit, run):
    """Asks the store of a study that uses everything new."""
    (house / "plan.toml").write_text(PLAN)
    arguments = ["--plan", "plan.toml", "--dataset", "fruit", "--store", "out/store.db", "--workers", "0"]
    run("-m", "backend.tune", *arguments, "--device", "cpu", "--quiet")

    def rows(sql: str) -> list[tuple]:
        with closing(sqlite3.connect(house / "out/store.db")) as connection:
            return connection.execute(sql).fetchall()

    return rows


@pytest.mark.slow
def test_the_importer_imports(fruit, run):
    problems = json.loads(run("-m", "backend.data", "check", "fruit", "--folds", "2", "--json"))
    assert [problem for problem in problems if problem["severity"] == "error"] == []
    with (fruit / "manifest.csv").open() as file:
        first = next(csv.DictReader(file))
    assert (first["fruit_id"], first["group"], first["label"]) == ("p00", "crate0", "rot")


@pytest.mark.slow
def test_the_method_trains(ask):
    curve = ask(
        "SELECT fold, value FROM curve JOIN run USING (run_id) WHERE kind = 'pretrain' AND "
        "method = 'align_uniform' AND metric = 'loss' AND epoch = 1 ORDER BY fold"
    )
    assert [fold for fold, _ in curve] == [0, 1]
    assert all(np.isfinite(value) for _, value in curve)
    done = ask("SELECT DISTINCT kind, status FROM run WHERE method = 'align_uniform' ORDER BY kind")
    assert done == [("finetune", "complete"), ("pretrain", "complete"), ("probe", "complete")]


@pytest.mark.slow
def test_the_modality_reaches_the_trained_network(ask, house):
    assert ask("SELECT DISTINCT modalities FROM run WHERE purpose = 'final'") == [('["rgb","thermal"]',)]
    from safetensors import safe_open

    (path,) = ask(
        "SELECT path FROM artifact JOIN run USING (run_id) WHERE run.kind = 'baseline' AND purpose = 'final' "
        "AND artifact.name = 'fold0/model.safetensors'"
    )[0]
    with safe_open(house / "out" / path, "np") as weights:
        assert any("thermal" in name for name in weights.keys())  # noqa: SIM118 - it is no dict


@pytest.mark.slow
def test_the_augmentation_is_ranked(ask):
    tried = ask("SELECT augmentations FROM run WHERE purpose = 'augmentation-ablation'")
    assert ('["gamma"]',) in tried


@pytest.mark.slow
def test_the_metric_is_stored_with_its_interval(ask):
    rows = ask(
        "SELECT defect, value, ci_low, ci_high FROM metric JOIN run USING (run_id) "
        "WHERE metric = 'specificity' AND fold IS NULL AND run.kind = 'baseline' AND purpose = 'final' "
        "ORDER BY defect"
    )
    assert [defect for defect, *_ in rows] == [None, "fine", "rot"]
    assert all(low <= value <= high for _, value, low, high in rows)


@pytest.mark.slow
def test_the_page_draws(ask, run):
    assert run("-c", PAGE).strip() == "32 of 32 fruit are labelled."


@pytest.mark.slow
def test_the_projects_own_tests_pick_it_all_up(run):
    files = ["methods/test_registry.py", "augment/test_contract.py", "evaluation/test_metrics.py"]
    names = "align_uniform or gamma or metrics.py"
    said = run("-m", "pytest", "-rA", *(f"tests/backend/{file}" for file in files), "-k", names)
    for name in ("align_uniform", "gamma", "specificity", "oracles"):
        assert re.search(rf"PASSED .*{name}", said), said


def test_the_code_of_the_recipes_is_clean(house):
    new = [block.path for name in NAMES for block in recipe(name)]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *new, "--exclude", "*.toml"],
            cwd=house,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout

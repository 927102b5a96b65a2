"""Cards say what the store says, and say so where it says nothing."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from backend.config import DataConfig, ModelConfig, RunConfig
from backend.data.manifest import read_dataset
from backend.errors import StoreError
from backend.explain.data_card import data_card
from backend.explain.markdown import number, plain, section, share, table
from backend.explain.model_card import model_card
from backend.store.bundle import FoldBundle, MetricValue, Predictions
from backend.store.environment import environment
from backend.store.queries import open_readonly
from backend.store.rows import FindingRow, RunRow, StudyRow
from backend.store.writer import RunStore


@pytest.fixture
def filled(multilabel_folder: Path, tmp_path: Path) -> tuple[Path, str, str]:
    """A store with one run of one fold: (path, run id, data set id)."""
    dataset = read_dataset(multilabel_folder)
    path = tmp_path / "store.db"
    ids = dataset.fruit_ids[12:]
    config = RunConfig(model=ModelConfig(modalities=("rgb", "nir")), data=DataConfig(resolution=16))
    row = RunRow.from_config(
        config,
        study_id="s",
        dataset_id=dataset.dataset_id,
        n_folds=1,
        environment=environment(),
        git_commit="abc123",
    )
    with RunStore(path) as store:
        store.add_dataset(dataset, ["row 5: looks | odd"])
        store.start_study(StudyRow("s", "study", {}, dataset.dataset_id, "mcc", folds=dict.fromkeys(ids, 0)))
        store.start_run(row)
        labels = dataset.labels[12:]
        predictions = Predictions(ids, dataset.defect_names, labels, labels, labels.astype(np.uint8))
        store.write_fold(row.run_id, FoldBundle(0, 1.0, predictions=predictions))
        metrics = [
            MetricValue("mcc", 0.8125, ci_low=0.7, ci_high=0.9),
            MetricValue("mcc", 0.5, defect="rot", ci_low=0.25, ci_high=0.75),
            MetricValue("mcc", None, defect="scar", reason="no fruit has it"),
        ]
        store.finish_run(row.run_id, metrics)
    return path, row.run_id, dataset.dataset_id


def cards(filled: tuple[Path, str, str]) -> tuple[str, str]:
    path, run_id, dataset_id = filled
    with closing(open_readonly(path)) as connection:
        return model_card(connection, run_id), data_card(connection, dataset_id)


def test_a_model_card_holds_results_fingerprints_limits_and_use(filled):
    card, _ = cards(filled)
    assert card.startswith("# Model card: baseline")
    for words in (
        f"| run | {filled[1]} |",
        f"| fingerprint | {filled[2]} |",
        "| mcc | 0.812 | 0.700 to 0.900 |",
        "| rot | 0.500 (0.250 to 0.750) | – | – | – |",
        "- Undefined: mcc of scar: no fruit has it.",
        "drawn by a program; nothing here says",
        "Fewer than 30 fruit have: rot (20), scar (15), soft (12).",
        "The data check warned: row 5: looks \\| odd",
        "| code | abc123 |",
        "| sensors | rgb, nir |",
        "Not for food safety",
    ):
        assert words in card
    sections = [line for line in card.splitlines() if line.startswith("## ")]
    assert sections == [
        f"## {name}"
        for name in ("Model", "Intended use", "Data", "Results on held-out fruit", "Limits", "Lineage")
    ]


def test_a_card_is_the_same_until_the_store_changes(filled):
    assert cards(filled) == cards(filled)


def test_a_data_card_counts_fruit_and_lists_the_strongest_findings(filled):
    path, run_id, dataset_id = filled
    assert "No data report was made." in cards(filled)[1]
    rows = [
        FindingRow("label_issue", "rot", f"f0{i}", value=0.5 + i / 100, run_id=run_id) for i in range(20, 28)
    ]
    rows.append(FindingRow("duplicate", "", "f020", "f040", value=3))
    rows.append(FindingRow("sensor", "rgb", value=0.4, detail={"mean": 0.4, "std": 0.1, "missing": 0.25}))
    with RunStore(path) as store:
        store.replace_findings(dataset_id, ("label_issue", "duplicate", "sensor"), rows)
    card = cards(filled)[1]
    for words in (
        "72 fruit of 36 groups, 60 labelled; each fruit has any number of defects",
        "| rot | internal | 20 | 60 | 33.3 % | 1 / 1 |",
        "| rgb | 0.400 | 0.100 | 25.0 % | – |",
        "- likely label errors: 8",
        "  - rot, f027: 0.770",
        "  - f020 and f040: 3.000 (differing bits of 256)",
        "- outliers in feature space: 0",
    ):
        assert words in card
    assert card.count("  - rot, ") == 5


def test_unknown_runs_and_data_sets_are_refused(filled):
    with closing(open_readonly(filled[0])) as connection:
        with pytest.raises(StoreError, match="unknown run 'nobody'"):
            model_card(connection, "nobody")
        with pytest.raises(StoreError, match="unknown data set 'nothing'"):
            data_card(connection, "nothing")


def test_names_from_outside_break_no_table():
    assert plain("a|b\n<script>`x`") == "a\\|b &lt;script&gt;'x'"
    assert plain("") == "not stated"
    assert (number(None), number(float("nan")), number(0.12345)) == ("–", "–", "0.123")
    assert (share(None), share(0.5)) == ("–", "50.0 %")
    assert table(("a", "b"), []) == []
    assert table(("a", "b"), [("1", "2")]) == ["| a | b |", "|---|---|", "| 1 | 2 |", ""]
    assert section("t", []) == []
    assert section("t", ["x"]) == ["## t", "", "x", ""]

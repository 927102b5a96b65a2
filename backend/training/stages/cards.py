"""Model card and data card of every final run, written last, when all that they tell is known."""

from __future__ import annotations

from backend.explain.data_card import data_card
from backend.explain.model_card import model_card
from backend.store.bundle import ArtifactData
from backend.store.queries import runs as run_queries
from backend.store.rows import COMPLETE
from backend.training.stages.context import StageContext
from backend.training.stages.pieces import piece

MODEL_CARD = "model_card.md"
DATA_CARD = "data_card.md"


def write_cards(stage: StageContext) -> None:
    """Write the cards of every complete final run of the study; those that would read the same stay."""
    driver = stage.driver
    chosen = run_queries.RunFilter(study_id=driver.study_id, purposes=("final",), statuses=(COMPLETE,))
    driver.progress.expect(1)
    with piece(stage, "cards"):
        with driver.store.reading() as connection:
            run_ids = run_queries.run_table(connection, chosen).run_id.tolist()
            of_data = data_card(connection, driver.context.dataset.dataset_id)
            of_models = {run_id: model_card(connection, run_id) for run_id in run_ids}
        for run_id, text in of_models.items():
            _write(stage, run_id, MODEL_CARD, text)
            _write(stage, run_id, DATA_CARD, of_data)


def _write(stage: StageContext, run_id: str, name: str, text: str) -> None:
    store, data = stage.driver.store, text.encode()
    if store.load_artifact(run_id, name) != data:
        store.add_artifact(run_id, ArtifactData(name, "card", data))

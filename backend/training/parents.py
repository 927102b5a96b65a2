"""Where a run's pretrained encoders come from."""

from __future__ import annotations

from backend.config import RunConfig
from backend.training.driver import Driver
from backend.training.pretraining import WEIGHTS


class ParentWeights:
    """Encoder weights of a run's parent, read from the store when a fold needs them (a ``WeightsOf``).

    Args:
        driver: of the study that holds the parents.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def __call__(self, config: RunConfig, fold: int) -> bytes | None:
        """The parent's weights for a fold; None without a parent, or without an image sensor to encode."""
        if config.parent is None or not config.model.image_modalities:
            return None
        # A pretraining on unlabelled fruit alone serves every fold.
        source = self._driver.outer_folds[0] if config.data.pool == "unlabelled" else fold
        return self._driver.store.require_artifact(config.parent, f"fold{source}/{WEIGHTS}")

"""The stages of a study, in the order in which they run.

The order makes a study useful whenever it stops: first a baseline, then everything that is compared with
it.
"""

from collections.abc import Callable

from backend.training.stages.baseline import run_baseline
from backend.training.stages.context import StageContext
from backend.training.stages.pretraining import run_pretraining

STAGES: dict[str, Callable[[StageContext], None]] = {
    "baseline": run_baseline,
    "pretraining": run_pretraining,
}
"""Name of a stage, as people see it, to what it does."""

__all__ = ["STAGES", "StageContext"]

"""The stages of a study, in the order in which they run.

The order makes a study useful whenever it stops: first a baseline, then everything that is compared with
it.
"""

from collections.abc import Callable

from backend.training.stages.augmentation_ablation import run_augmentation_ablation
from backend.training.stages.baseline import run_baseline
from backend.training.stages.context import StageContext
from backend.training.stages.explaining import run_explanations
from backend.training.stages.input_ablation import run_input_ablation
from backend.training.stages.pretraining import run_pretraining
from backend.training.stages.pretraining_sets import run_pretraining_sets
from backend.training.stages.projecting import run_projections
from backend.training.stages.reporting import run_reports

STAGES: dict[str, Callable[[StageContext], None]] = {
    "baseline": run_baseline,
    "pretraining": run_pretraining,
    "pretraining sets": run_pretraining_sets,
    "input ablation": run_input_ablation,
    "augmentations": run_augmentation_ablation,
    "explanations": run_explanations,
    "projections": run_projections,
    "data report": run_reports,
}
"""Name of a stage, as people see it, to what it does."""

__all__ = ["STAGES", "StageContext"]

"""What a plan names is checked before anything is trained, not hours later in the stage that needs it."""

from pathlib import Path

import pytest

from backend.errors import ConfigError
from backend.training.plan import Plan
from backend.training.prepare import StudyOptions, prepare_study
from backend.training.settings import (
    AugmentationStage,
    BaselineStage,
    PretrainingSetStage,
    PretrainingStage,
    ProjectionStage,
)

OPERATIONS = PretrainingStage(operations=("sharpen",))
SETS = PretrainingSetStage(method="simclr")


@pytest.fixture
def options(multilabel_folder: Path, tmp_path: Path) -> StudyOptions:
    return StudyOptions(multilabel_folder, tmp_path / "store.db", tmp_path / "cache", workers=0, quiet=True)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ({"baseline": BaselineStage(backbones=("vgg99",))}, "vgg99"),
        (
            {"pretraining": PretrainingStage(methods=("simplr",))},
            r"pretraining\.methods.*unknown method 'simplr'",
        ),
        (
            {"pretraining": PretrainingStage(methods=("moco",), operations=("sharpen",))},
            r"pretraining\.operations.*'sharpen'",
        ),
        ({"pretraining": OPERATIONS, "pretraining_sets": SETS}, r"pretraining\.operations.*'sharpen'"),
        (
            {"pretraining_sets": PretrainingSetStage(method="imagenet")},
            r"pretraining_sets\.method: imagenet pretrains nothing; expected one of .*simclr",
        ),
        (
            {"augmentations": AugmentationStage(method="simclr", methods=("simplr",))},
            r"augmentations\.method.*unknown method 'simplr'",
        ),
        (
            {"augmentations": AugmentationStage(method="random_init")},
            r"augmentations\.method: random_init pretrains nothing",
        ),
        (
            {"augmentations": AugmentationStage(method="simclr", operations=("sharpen",))},
            r"augmentations\.operations.*'sharpen'",
        ),
        (
            {"augmentations": AugmentationStage(method="supervised", policies=("strong",))},
            r"augmentations\.policies: unknown policy 'strong'",
        ),
        (
            {"modalities": ("nir",), "augmentations": AugmentationStage("simclr", operations=("grey",))},
            r"augmentations\.operations: no operation to try; expected operations that change nir",
        ),
        (
            {"projections": ProjectionStage(enabled=True, layer=7)},
            r"projections\.layer: layer 7; expected -4 to 3",
        ),
    ],
    ids=[
        "backbone",
        "method",
        "operation of a method",
        "operation of the sets",
        "sets of what learns nothing",
        "another ablated method",
        "ablation of what learns nothing",
        "ablated operation",
        "ablated policy",
        "operations for no sensor",
        "layer",
    ],
)
def test_a_name_that_a_later_stage_would_stumble_over_is_refused_at_once(options, stages, words):
    plan = Plan(name="names", folds=2, resolution=16, **stages)
    with pytest.raises(ConfigError, match=words):
        prepare_study(plan, options, 0)


def test_without_pictures_no_augmentation_is_asked_for(options):
    plan = Plan(
        name="pressure alone",
        folds=2,
        resolution=16,
        modalities=("pressure",),
        augmentations=AugmentationStage("simclr", operations=("grey",)),
    )
    assert prepare_study(plan, options, 0).modalities == ("pressure",)

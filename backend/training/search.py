"""What Optuna may vary in a baseline, and the hand-picked configuration it starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backend.config import VIEW_POOLINGS, AugmentConfig, DataConfig, ModelConfig, OptimConfig, RunConfig
from backend.data.dataset import FruitDataset
from backend.training.plan import Plan

if TYPE_CHECKING:
    import optuna

BATCH_SIZES = (16, 32)
IMBALANCE_CHOICES = ("none", "weighted", "focal", "sampler")


def default_parameters(plan: Plan, dataset: FruitDataset, modalities: tuple[str, ...]) -> dict[str, Any]:
    """The first trial: good on strawberries and on synthetic avocados, so tuning never ends below it."""
    parameters: dict[str, Any] = {
        "learning_rate": 3e-3,
        "weight_decay": 2e-2,
        "batch_size": 16,
        "imbalance": "none",
        "augment_strength": 1.0,
        "dropout": 0.2,
    }
    if len(plan.baseline.backbones) > 1:
        parameters["backbone"] = plan.baseline.backbones[0]
    if _early_fusion_possible(plan, dataset, modalities):
        parameters["fusion"] = "late"
    if _several_views(dataset, modalities):
        parameters["view_pooling"] = "max"
    return parameters


def views_apart(parameters: dict[str, Any]) -> dict[str, Any] | None:
    """The second trial, where a sensor has several views: the first with each view in a place of its own.

    Whether views are interchangeable decides more than anything else here: what shows in one of four views
    is learned from a few hundred fruit with views apart alone, what may show in any of them with ``max``.
    """
    return {**parameters, "view_pooling": "apart"} if "view_pooling" in parameters else None


def suggest_parameters(
    trial: optuna.Trial, plan: Plan, dataset: FruitDataset, modalities: tuple[str, ...]
) -> dict[str, Any]:
    """Ask Optuna for one configuration; the same names as ``default_parameters``."""
    parameters: dict[str, Any] = {
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True),
        "batch_size": trial.suggest_categorical("batch_size", BATCH_SIZES),
        "imbalance": trial.suggest_categorical("imbalance", IMBALANCE_CHOICES),
        "augment_strength": trial.suggest_float("augment_strength", 0.5, 1.5),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }
    if len(plan.baseline.backbones) > 1:
        parameters["backbone"] = trial.suggest_categorical("backbone", plan.baseline.backbones)
    if _early_fusion_possible(plan, dataset, modalities):
        parameters["fusion"] = trial.suggest_categorical("fusion", ("late", "early"))
    if _several_views(dataset, modalities):
        parameters["view_pooling"] = trial.suggest_categorical("view_pooling", VIEW_POOLINGS)
    return parameters


def baseline_config(
    parameters: dict[str, Any],
    plan: Plan,
    modalities: tuple[str, ...],
    *,
    purpose: str,
    seed: int,
    split_seed: int,
) -> RunConfig:
    """The run that a set of parameters stands for; tuning runs are shorter than final ones."""
    stage = plan.baseline
    optim = OptimConfig(
        epochs=stage.epochs,
        min_steps=stage.min_steps,
        patience=stage.patience,
        batch_size=parameters["batch_size"],
        learning_rate=parameters["learning_rate"],
        weight_decay=parameters["weight_decay"],
        imbalance=parameters["imbalance"],
    )
    return RunConfig(
        kind="baseline",
        purpose=purpose,
        model=ModelConfig(
            backbone=parameters.get("backbone", stage.backbones[0]),
            modalities=modalities,
            fusion=parameters.get("fusion", "late"),
            view_pooling=parameters.get("view_pooling", "mean"),
            dropout=parameters["dropout"],
        ),
        augment=AugmentConfig(policy="whole_fruit", strength=parameters["augment_strength"]),
        optim=optim.lasting(stage.tune_epochs) if purpose == "tune" else optim,
        data=DataConfig(resolution=plan.resolution, folds=plan.folds, split_seed=split_seed),
        seed=seed,
        threads=plan.threads,
    )


def _several_views(dataset: FruitDataset, modalities: tuple[str, ...]) -> bool:
    return any(len(views) > 1 for name, views in dataset.modalities.items() if name in modalities)


def _early_fusion_possible(plan: Plan, dataset: FruitDataset, modalities: tuple[str, ...]) -> bool:
    """Sensors with the same views can be stacked, unless each is to be left out in turn."""
    if plan.input_ablation.enabled:
        return False
    views = [dataset.modalities[name] for name in modalities if name in dataset.modalities]
    return len(views) > 1 and len(set(views)) == 1

"""The configuration a search starts from, and the one it always tries beside it."""

import optuna

from backend.training.plan import Plan
from backend.training.search import baseline_config, default_parameters, suggest_parameters, views_apart


def test_fruit_with_several_views_are_tried_with_views_apart(multilabel_context):
    plan, dataset = Plan(), multilabel_context.dataset
    several, one = ("rgb", "nir"), ("nir", "pressure")
    first = default_parameters(plan, dataset, several)
    second = views_apart(first)
    assert second == {**first, "view_pooling": "apart"}
    config = baseline_config(second, plan, several, purpose="tune", seed=0, split_seed=0)
    assert config.model.view_pooling == "apart"
    alone = default_parameters(plan, dataset, one)
    assert views_apart(alone) is None
    config = baseline_config(alone, plan, one, purpose="tune", seed=0, split_seed=0)
    assert config.model.view_pooling == "mean"


def test_what_is_given_is_among_what_may_be_asked(multilabel_context):
    plan, dataset = Plan(), multilabel_context.dataset
    first = default_parameters(plan, dataset, ("rgb", "nir"))
    for given in (first, views_apart(first)):
        study = optuna.create_study()
        study.enqueue_trial(given)
        assert suggest_parameters(study.ask(), plan, dataset, ("rgb", "nir")) == given

import dataclasses
import json
import weakref

import numpy as np
import pytest
import torch

from backend.config import DataConfig, OptimConfig
from backend.errors import TrainingError
from backend.models.network import FruitNetwork
from backend.training import optim, supervised
from backend.training.building import nan_statistics
from backend.training.checkpoint import load_encoders, pack_weights, unpack_weights
from backend.training.execute import execute
from backend.training.supervised import FoldTraining, train_fold
from backend.training.task import FoldTask, fold_parts


def task(config, fold=0, **fields):
    return FoldTask("run", config, fold, study_seed=3, **fields)


def test_a_fold_learns_and_returns_everything(multilabel_context, small_run):
    bundle = execute(task(small_run(epochs=10)), multilabel_context)
    values = {(m.metric, m.defect): m.value for m in bundle.metrics}
    assert values["mcc", None] > 0.3
    assert values["inner_mcc", None] > 0.1
    tested = np.flatnonzero(multilabel_context.folds == 0)
    assert bundle.predictions.fruit_ids == tuple(multilabel_context.dataset.fruit_ids[i] for i in tested)
    np.testing.assert_array_equal(bundle.predictions.y_true, multilabel_context.dataset.labels[tested])
    assert {point.metric for point in bundle.curves} == {"loss", "mcc"}
    assert [a.name for a in bundle.artifacts] == ["fold0/model.safetensors", "fold0/model.json"]


def test_multiclass_decides_for_one_class(multiclass_context, small_run):
    bundle = execute(task(small_run(modalities=("rgb",), epochs=8)), multiclass_context)
    assert (bundle.predictions.y_pred.sum(axis=1) == 1).all()
    np.testing.assert_allclose(bundle.predictions.score.sum(axis=1), 1, atol=1e-5)
    assert {(m.metric, m.defect): m.value for m in bundle.metrics}["mcc", None] > 0.7


def test_the_same_task_gives_the_same_bits(multilabel_context, small_run):
    first, second = (execute(task(small_run(epochs=2)), multilabel_context) for _ in range(2))
    np.testing.assert_array_equal(first.predictions.score, second.predictions.score)
    assert first.artifacts[0].data == second.artifacts[0].data
    assert first.curves == second.curves


def test_only_products_of_training_are_in_bfloat16(multilabel_context, small_run, monkeypatch):
    monkeypatch.setattr(optim, "_multiplies_bfloat16", lambda: True)
    config = small_run(epochs=1)
    fold = FoldTraining(task(config), multilabel_context, fold_parts(multilabel_context, config, 0), 8)
    features: list[torch.dtype] = []
    for model in (fold.model, fold.average.module):
        stage = model.encoder("rgb").backbone.stages[-1]
        stage.register_forward_hook(lambda module, images, output: features.append(output.dtype))
    loss = fold.step(next(fold.order.steps(1)), lambda: None)
    assert (features, loss.dtype) == ([torch.bfloat16], torch.float32)
    fold.validate()
    assert set(features[1:]) == {torch.float32}
    assert {weight.dtype for weight in fold.model.parameters()} == {torch.float32}
    assert dict(fold.notes())["precision"] == "bfloat16"


def test_seed_fold_and_study_seed_matter(multilabel_context, small_run):
    config = small_run(epochs=1)
    scores = [
        execute(t, multilabel_context).curves[0].value
        for t in (task(config), task(dataclasses.replace(config, seed=1)), FoldTask("run", config, 0, 4))
    ]
    assert len(set(scores)) == 3


def test_the_checkpoint_predicts_what_was_stored(multilabel_context, small_run):
    config = small_run(epochs=2)
    bundle = execute(task(config), multilabel_context)
    parts = fold_parts(multilabel_context, config, 0)
    fold = FoldTraining(task(config), multilabel_context, parts, 8)
    fold.average.module.load_state_dict(unpack_weights(bundle.artifacts[0].data))
    card = json.loads(bundle.artifacts[1].data)
    fold.thresholds = np.array(card["thresholds"])
    again = fold.predict(parts.test)
    np.testing.assert_array_equal(again.score, bundle.predictions.score)
    np.testing.assert_array_equal(again.y_pred, bundle.predictions.y_pred)
    assert card["defects"] == ["rot", "scar", "soft"]


def test_tuning_never_looks_at_test_fruit(multilabel_context, small_run):
    bundle = execute(task(small_run(epochs=1, purpose="tune")), multilabel_context)
    assert bundle.predictions is None
    assert {m.metric for m in bundle.metrics} == {"inner_mcc", "inner_mcc_error"}


def test_permuting_test_labels_changes_no_choice(multilabel_context, small_run):
    """Scores, thresholds and best epoch may depend on nothing that the test part says."""
    config = small_run(epochs=2)
    dataset = multilabel_context.dataset
    labels = dataset.labels.copy()
    tested = np.flatnonzero(multilabel_context.folds == 0)
    labels[tested] = labels[np.random.default_rng(0).permutation(tested)]
    assert not np.array_equal(labels, dataset.labels, equal_nan=True)
    permuted = dataclasses.replace(multilabel_context, dataset=dataclasses.replace(dataset, labels=labels))
    first, second = execute(task(config), multilabel_context), execute(task(config), permuted)
    np.testing.assert_array_equal(first.predictions.score, second.predictions.score)
    np.testing.assert_array_equal(first.predictions.y_pred, second.predictions.y_pred)
    assert first.notes == second.notes


def test_parts_are_disjoint_and_keep_groups_together(multilabel_context, small_run):
    groups = np.asarray(multilabel_context.dataset.groups)
    for fold in (0, 1):
        parts = fold_parts(multilabel_context, small_run(), fold)
        sets = [set(groups[rows]) for rows in (parts.fit, parts.validation, parts.test)]
        assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
        assert not multilabel_context.dataset.labelled[parts.unlabelled].any()


def test_a_label_fraction_uses_fewer_labels_for_fitting_and_choosing(multilabel_context, small_run):
    full = fold_parts(multilabel_context, small_run(), 0)
    config = small_run(data=DataConfig(resolution=16, folds=2, label_fraction=0.5))
    half = fold_parts(multilabel_context, config, 0)
    assert len(half.fit) + len(half.validation) <= 0.75 * (len(full.fit) + len(full.validation))
    np.testing.assert_array_equal(half.test, full.test)


def test_few_labels_train_as_long_as_many(multilabel_context, small_run):
    optim = OptimConfig(epochs=2, batch_size=8, min_steps=30, patience=0)
    config = small_run(optim=optim)
    fold = FoldTraining(task(config), multilabel_context, fold_parts(multilabel_context, config, 0), 8)
    steps = []
    original = fold.step
    fold.step = lambda *args: steps.append(1) or original(*args)
    fold.fit()
    assert len(steps) == 30
    assert {point.epoch for point in fold.curves} == {1, 2}


def test_falling_behind_is_pruned_with_a_reason(multilabel_context, small_run):
    config = small_run(epochs=5, purpose="tune")
    bundle = train_fold(task(config, prune_floor=(-2.0, 1.1)), multilabel_context)
    assert "median of earlier trials" in bundle.pruned
    assert {point.epoch for point in bundle.curves} == {1, 2}


def test_patience_stops_a_run_that_no_longer_improves(multilabel_context, small_run, monkeypatch):
    scores = iter([0.5, 0.4, 0.3, 0.9])
    monkeypatch.setattr(FoldTraining, "validate", lambda self: next(scores))
    monkeypatch.setattr(supervised, "inner_mcc_error", lambda labels, score, task: 0.1)
    optim = OptimConfig(epochs=4, batch_size=8, patience=2)
    bundle = execute(task(small_run(optim=optim)), multilabel_context)
    assert [p.value for p in bundle.curves if p.metric == "mcc"] == [0.5, 0.4, 0.3]
    assert dict(bundle.notes)["kept_epoch"] == "1"
    assert {m.metric: m.value for m in bundle.metrics}["inner_mcc"] == 0.5


@pytest.mark.parametrize(("error", "kept"), [(0.09, "1"), (0.11, "3")])
def test_the_last_epoch_is_kept_unless_an_earlier_one_is_clearly_better(
    multilabel_context, small_run, monkeypatch, error, kept
):
    scores, seen = iter([0.5, 0.4, 0.4]), []

    def score_and_remember(fold):
        seen.append({name: value.clone() for name, value in fold.average.module.state_dict().items()})
        return next(scores)

    monkeypatch.setattr(FoldTraining, "validate", score_and_remember)
    monkeypatch.setattr(supervised, "inner_mcc_error", lambda labels, score, task: error)
    bundle = execute(task(small_run(optim=OptimConfig(epochs=3, batch_size=8))), multilabel_context)
    notes, metrics = dict(bundle.notes), {(m.metric, m.defect): m.value for m in bundle.metrics}
    assert notes["kept_epoch"] == kept
    assert metrics["inner_mcc", None] == {"1": 0.5, "3": 0.4}[kept]
    assert metrics["inner_mcc_error", None] == error
    for name, value in unpack_weights(bundle.artifacts[0].data).items():
        assert torch.equal(value, seen[int(kept) - 1][name])


def test_a_diverged_loss_is_an_error_in_words(multilabel_context, small_run):
    optim = OptimConfig(epochs=2, batch_size=8, learning_rate=1e9, warmup=0.0)
    with pytest.raises(TrainingError, match="loss became"):
        execute(task(small_run(optim=optim)), multilabel_context)


def test_out_of_memory_halves_the_batch_and_says_so(multilabel_context, small_run, monkeypatch):
    original, attempts = FoldTraining.step, []

    def short_of_memory(self, index, advance):
        if len(index) > 4:
            attempts.append(weakref.ref(self))
            raise torch.OutOfMemoryError("too large")
        assert [attempt() for attempt in attempts] == [None], "the failed attempt still takes its memory"
        return original(self, index, advance)

    monkeypatch.setattr(FoldTraining, "step", short_of_memory)
    bundle = train_fold(task(small_run(epochs=1)), multilabel_context)
    assert dict(bundle.notes)["batch_size"].startswith("4 (halved")


def test_pretrained_encoders_are_taken_over(multilabel_context, small_run):
    config = small_run(epochs=1)
    parts = fold_parts(multilabel_context, config, 0)
    source = FoldTraining(task(dataclasses.replace(config, seed=9)), multilabel_context, parts, 8).model
    weights = pack_weights({k: v for k, v in source.state_dict().items() if k.startswith("encoders.")})
    model = FoldTraining(task(config, weights=weights), multilabel_context, parts, 8).model
    for name, value in source.state_dict().items():
        if name.startswith("encoders."):
            torch.testing.assert_close(model.state_dict()[name], value, rtol=0, atol=0)
    assert not torch.equal(model.head.weight, source.head.weight)


def test_weights_of_another_network_are_refused(multilabel_context, small_run):
    config = small_run()
    fold = FoldTraining(task(config), multilabel_context, fold_parts(multilabel_context, config, 0), 8)
    model: FruitNetwork = fold.model
    with pytest.raises(TrainingError, match="no encoder in common"):
        load_encoders(model, pack_weights({"other": torch.zeros(2)}))
    wrong = {name: torch.zeros(1, 1) for name in model.state_dict() if name.startswith("encoders.rgb")}
    with pytest.raises(TrainingError, match="another shape"):
        load_encoders(model, pack_weights(wrong))
    with pytest.raises(TrainingError, match="safetensors"):
        unpack_weights(b"not weights")


def test_statistics_leave_missing_readings_out():
    mean, std = nan_statistics(np.array([[1.0, np.nan], [3.0, np.nan]], np.float32))
    np.testing.assert_allclose(mean, [2, 0])
    np.testing.assert_allclose(std, [1, 1])


def test_a_fixed_split_is_kept(multilabel_context, small_run):
    dataset = multilabel_context.dataset
    words = ("train", "train", "val", "test")
    split = tuple(words[int(group.removeprefix("pallet")) % 4] for group in dataset.groups)
    folds = np.where((np.array(split) == "test") & dataset.labelled, 0, -1)
    context = dataclasses.replace(
        multilabel_context, dataset=dataclasses.replace(dataset, fixed_split=split), folds=folds
    )
    parts = fold_parts(context, small_run(), 0)
    assert {split[row] for row in parts.fit} == {"train"}
    assert {split[row] for row in parts.validation} == {"val"}
    assert {split[row] for row in parts.test} == {"test"}
    assert "test" not in {split[row] for row in parts.unlabelled}


def test_a_share_of_a_fixed_split_leaves_both_parts_their_positives(multilabel_context, small_run):
    dataset = multilabel_context.dataset
    words = ("train", "train", "val")
    split = np.array([words[int(group.removeprefix("pallet")) % 3] for group in dataset.groups])
    context = dataclasses.replace(
        multilabel_context,
        dataset=dataclasses.replace(dataset, fixed_split=tuple(split)),
        folds=np.full(len(dataset), -1),
    )
    for seed in range(20):
        config = small_run(seed=seed, data=DataConfig(resolution=16, folds=2, label_fraction=0.1))
        parts = fold_parts(context, config, 0)
        for rows, word in ((parts.fit, "train"), (parts.validation, "val")):
            assert set(split[rows]) == {word}
            everyone = dataset.labels[(split == word) & dataset.labelled]
            assert (dataset.labels[rows] == 1).any(0).tolist() == (everyone == 1).any(0).tolist()


def test_a_fine_tune_draws_the_same_whatever_study_made_its_encoder(small_run):
    own, other, longer = (
        task(small_run(kind="finetune", parent=parent)).seed
        for parent in ("0123456789abcdef-aaaaaaaa", "0123456789abcdef-bbbbbbbb", "fedcba9876543210-aaaaaaaa")
    )
    assert own == other != longer

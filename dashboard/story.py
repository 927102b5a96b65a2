"""The review pack that nobody had to collect: the figures that answer a manager's questions.

Every chapter asks the same evidence as its page. Nothing here draws, and nothing needs a browser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from backend.errors import ConfigError, unknown_name
from dashboard import answers, contenders, texts
from dashboard.basket import Exhibit, thaw
from dashboard.evidence import augmentations, explanations, inputs, losses, methods, prices
from dashboard.evidence import overview as headline
from dashboard.figure import Panels
from dashboard.format import listing
from dashboard.frames.agreement import agreements, with_agreement
from dashboard.frames.costs import priced
from dashboard.frames.defects import fixed_order
from dashboard.loaders import Store
from dashboard.loaders_findings import attributions, beside
from dashboard.multiples import Shown, matrices
from dashboard.names import subject
from dashboard.options import favourite, run_options
from dashboard.pack import Pack
from dashboard.scope import Scope, defect_groups, study_labels

WORDS = texts.REPORT


def collected(store: Store) -> list[Exhibit]:
    """What people put into the basket of this store, in their order."""
    return [thaw(item.payload, item.caption, item.item) for item in beside(store.path).basket()]


def told(scope: Scope) -> list[Exhibit]:
    """The figures that answer a manager's questions about the chosen study, chapter by chapter."""
    return [exhibit for chapter in CHAPTERS for exhibit in chapter(scope)]


def pack_of(scope: Scope, exhibits: list[Exhibit], title: str = "") -> Pack:
    """Exhibits as a review pack.

    Args:
        scope: what is looked at, for the line under the title.
        exhibits: in order.
        title: of the pack; empty = a plain one.
    """
    place = WORDS["place"].format(dataset=scope.dataset.name, study=scope.study)
    title = title or WORDS["pack_title"].format(dataset=scope.dataset.name)
    return Pack(title, place, tuple(exhibits), datetime.now(UTC))


def chosen_scope(store: Store, dataset: str = "", study: str = "", defect: str = "") -> Scope:
    """What the sidebar would choose for these names, without a sidebar.

    Args:
        store: the store.
        dataset: name or id; empty = the one studied last.
        study: name, label or id; empty = the latest with a final result; ``all`` = every one.
        defect: its name as stored or as written for people, or "internal defects"; empty = all.

    Raises:
        ConfigError: there is nothing of that name, or no study at all.
    """
    datasets = store.datasets()
    datasets = datasets[datasets["n_studies"] > 0]
    if datasets.empty:
        raise ConfigError(
            "the store holds no study", where=str(store.path), action="run `python -m backend.tune` first"
        )
    ids = [str(name) for name in datasets["dataset_id"]]
    dataset_id = _pick("dataset", dataset, [ids, list(datasets["name"])], ids)
    facts = store.dataset(dataset_id)
    assert facts is not None, "listed a moment ago in the same state of the store"
    studies = store.studies(dataset_id)
    labels, first = study_labels(studies, facts)
    every = texts.FILTERS["every_study"]
    label, study_id = every, ""
    if study.lower() not in ("all", every.lower()):
        by_label = dict(zip(labels, studies["study_id"], strict=True))
        names = [labels, list(studies["study_id"]), list(studies["name"])]
        label = first if not study else _pick("study", study, names, labels)
        study_id = str(by_label[label])
    order = fixed_order(facts, store.defect_counts(dataset_id))
    groups = defect_groups(facts, order)
    short = [name if len(members) > 1 else members[0] for name, members in groups.items()]
    group = next(iter(groups)) if not defect else _pick("defect", defect, [list(groups), short], list(groups))
    return Scope(store, facts, study_id, label, order, groups[group], group, "", "")


def _pick(kind: str, name: str, columns: list[list[str]], values: list[str]) -> str:
    """The value whose entry in one of the columns is ``name``, case ignored; the first without a name."""
    wanted = name.strip().lower()
    if not wanted:
        return values[0]
    for column in columns:
        for entry, value in zip(column, values, strict=True):
            if str(entry).lower() == wanted:
                return value
    raise unknown_name(kind, name, [str(entry) for entry in columns[-1]], f"--{kind}")


def _overview(scope: Scope) -> Iterator[Exhibit]:
    argument = headline.argued(scope)
    if argument is not None:
        stamp = scope.provenance(argument.run_ids, argument.commit)
        yield Exhibit(headline.figure(scope, argument, "recall"), stamp)


def _decisions(scope: Scope) -> Iterator[Exhibit]:
    """The confusion matrices of the run that is argued for."""
    argument = headline.argued(scope)
    if argument is None:
        return
    one = contenders.best_whole(argument.runs, argument.metrics)
    assert one is not None, "somebody is argued about"
    counts = scope.store.defect_confusion(one.run_id)
    counts = counts[counts["defect"].isin(scope.defects)]
    shown = Shown(scope.dataset, scope.defects, scope.tints)
    agreed = agreements(counts, scope.store.pooled_metrics((one.run_id,), ("mcc",)))
    who = subject(one.method)
    said = answers.decided(who, counts, what=scope.family)
    if len(scope.defects) == len(scope.order) > 1:  # the number of the Overview and of Defects
        said = headline.alone(scope, argument.metrics, one)
    said = with_agreement(said, who, agreed, scope.defects)
    panels = Panels(
        name="decisions",
        title=texts.DEFECTS["matrices"],
        sentence=" ".join(part for part in (said.text, said.detail) if part),
        figures=matrices(shown, counts, "counts", agreed),
        columns=4,
        table=priced(scope.dataset, counts).assign(run_id=one.run_id),
    )
    yield Exhibit(panels, scope.provenance((one.run_id,), argument.commit))


def _labels(scope: Scope) -> Iterator[Exhibit]:
    """Which pretraining, and how many labels it saves."""
    found = methods.compared(scope)
    if found.rows.empty:
        return
    said = methods.said(scope, found)
    stamp = scope.provenance(tuple(found.runs["run_id"]), found.runs["git_commit"].iloc[0])
    if found.focus is not None and len(found.fractions) > 1:
        curve = methods.efficiency(scope, found, "tuned", said)
        if curve is not None:
            yield Exhibit(curve, stamp)
    yield Exhibit(methods.table_figure(scope, found, found.telling, said), stamp)


def _sensors(scope: Scope) -> Iterator[Exhibit]:
    for ablation in inputs.found(scope)[:1]:
        said = losses.said(scope, losses.losses(scope, ablation, prices.costs(scope, ablation)))
        stamp = scope.provenance(ablation.every_run, ablation.commit, ("model", ablation.name))
        yield Exhibit(inputs.heat_map(scope, ablation, "mcc", said), stamp)


def _augmentations(scope: Scope) -> Iterator[Exhibit]:
    for found in augmentations.found(scope)[:1]:
        if not found.measures:
            continue
        metric = found.measures[0]
        said = augmentations.said(found, augmentations.confirmed(scope, found), metric)
        stamp = scope.provenance(tuple(found.runs["run_id"]), found.runs["git_commit"].iloc[0])
        figures = (augmentations.matrix(found, metric, said), augmentations.worth(found, metric))
        yield from (Exhibit(figure, stamp) for figure in figures if figure is not None)


def _explanations(scope: Scope) -> Iterator[Exhibit]:
    """Where the model looks, where masks say whether it is right."""
    runs = explanations.explained(scope)
    if runs.empty:
        return
    run = favourite(run_options(runs), runs)
    metrics = explanations.measured(scope, (run.run_id,))
    maps = attributions(scope.store, run.run_id)
    said = explanations.said(scope, run, metrics, maps)
    figure = explanations.figure(scope, run, None, metrics, said, explanations.checked(scope, run, maps))
    if figure is not None:
        yield Exhibit(figure, scope.provenance((run.run_id,), run.commit, ("run", run.label)))


CHAPTERS: tuple[Callable[[Scope], Iterator[Exhibit]], ...] = (
    _overview,
    _decisions,
    _labels,
    _sensors,
    _augmentations,
    _explanations,
)


def contents(exhibits: list[Exhibit]) -> str:
    """What a pack would hold, in one phrase."""
    return listing([exhibit.shown.title for exhibit in exhibits])

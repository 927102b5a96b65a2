"""What changed: the decisions that run B puts right and wrong against run A, by defect and by group."""

from __future__ import annotations

from typing import Any

import pandas as pd

from backend.store.queries import changes
from dashboard import texts
from dashboard.answers import UNTESTED, Answer, on_share, settled, test_verdict
from dashboard.charts.changes import fixed_and_broken
from dashboard.figure import Figure
from dashboard.format import count, interval, sentence_start, signed, signed_count
from dashboard.frames.tests import deciding, mcnemar_verdicts
from dashboard.names import defect_words
from dashboard.options import Run
from dashboard.rows import of_defect
from dashboard.scope import Scope

WORDS = texts.CHANGES
MOST_GROUPS = 10
COUNTS = ["n", "found", "cleared", "lost", "alarmed"]


def tallied(scope: Scope, before: Run, after: Run) -> pd.DataFrame:
    """Counts of the chosen defects by defect and group, with ``fixed`` and ``broken``.

    Returns:
        defect, fruit_group, n, found, cleared, lost, alarmed, fixed, broken.
    """
    rows = scope.store.ask(changes.tallies, before.run_id, after.run_id, scope.multiclass)
    rows = _kept(scope, rows)
    return rows.assign(fixed=rows["found"] + rows["cleared"], broken=rows["lost"] + rows["alarmed"])


def _kept(scope: Scope, rows: pd.DataFrame) -> pd.DataFrame:
    """What the filters of defects and pallets let through."""
    rows = rows[rows["defect"].isin(scope.defects)]
    return rows[rows["fruit_group"] == scope.group] if scope.group else rows


def subjects(before: Run, after: Run) -> tuple[str, str]:
    """How both runs are called in a sentence: by method, or by name where the method is the same."""
    if before.subject == after.subject:
        return before.label, after.label
    return before.subject, after.subject


def said(scope: Scope, before: Run, after: Run, rows: pd.DataFrame) -> Answer:
    """The headline: how many decisions were put right and wrong, and what the test says of it."""
    first, second = subjects(before, after)
    fixed, broken = int(rows["fixed"].sum()), int(rows["broken"].sum())
    fruit = int(rows.groupby("defect")["n"].sum().sum() if scope.multiclass else _fruit(rows))
    key = "one" if scope.one_defect else "classes" if scope.multiclass else "all"
    share = after.share if before.share == after.share else 1.0  # labels tell runs of unequal shares apart
    text = WORDS[key].format(
        After=second if share < 1 else sentence_start(second),
        after=second,
        before=first,
        fixed=count(fixed),
        broken=count(broken),
        defect=defect_words(scope.one_defect or ""),
        fruit=count(fruit),
    )
    text = on_share(text, share, lower=key == "one")
    tested = _tested(scope, before, after)
    if tested is not None:
        return Answer(text, f"{_parts(scope, rows)} {tested.text}".strip(), tested.verdict)
    alone = scope.one_defect is not None or scope.multiclass
    untested = "" if scope.group else UNTESTED  # nobody tests a pallet over all defects
    verdict = mcnemar_verdicts([fixed], [broken])[0] if alone else untested
    return Answer(text, _parts(scope, rows), verdict)


def _fruit(rows: pd.DataFrame) -> int:
    """Fruit judged on the defect that most fruit are judged on."""
    return int(rows.groupby("defect")["n"].sum().max()) if len(rows) else 0


def _parts(scope: Scope, rows: pd.DataFrame) -> str:
    """Of what the change consists; a class has no false alarms of its own."""
    if scope.multiclass or rows.empty:
        return ""
    sums = {name: count(int(rows[name].sum())) for name in COUNTS}
    return WORDS["parts"].format(**sums)


def _tested(scope: Scope, before: Run, after: Run) -> Answer | None:
    """What the stored test on agreement says; None where there is none."""
    test = _test(scope, before, after)
    if test is None or scope.group or (scope.one_defect is None and scope.family):
        return None  # the test was of all pallets and defects
    ends = interval(test["ci_low"], test["ci_high"])
    words = WORDS["agreement"].format(size=signed(test["delta"]), brackets=f" ({ends})" if ends else "")
    return Answer(words, verdict=test_verdict(test))


def _test(scope: Scope, before: Run, after: Run) -> dict[str, Any] | None:
    """The stored test on agreement, over all defects or on the chosen one; None where there is none."""
    tests = deciding(scope.store.comparisons(before.run_id, after.run_id))
    about = of_defect(tests, scope.one_defect)
    found = about[(about["metric"] == "mcc") & about["delta"].notna()]
    return None if found.empty else {str(key): value for key, value in found.iloc[0].items()}


def by_defect(scope: Scope, rows: pd.DataFrame, answer: Answer) -> Figure:
    """Both counts for each defect, with the verdict of McNemar's test on them."""
    sums = rows.groupby("defect")[[*COUNTS, "fixed", "broken"]].sum().reindex(list(scope.defects))
    known = sums.dropna().astype(int)
    verdicts = mcnemar_verdicts(known["fixed"].tolist(), known["broken"].tolist())
    frame = two_sided(known, [defect_words(str(name)) for name in known.index], verdicts)
    return Figure(
        name="what-changed-by-defect",
        title=WORDS["by_class" if scope.multiclass else "by_defect"],
        sentence=answer.text,
        chart=fixed_and_broken,
        frame=frame,
        options={"order": tuple(frame["name"].drop_duplicates()), "axis": WORDS["axis"]},
        table=known.assign(verdict=verdicts).reset_index(),
    )


def by_group(scope: Scope, rows: pd.DataFrame, answer: Answer) -> Figure | None:
    """Both counts for the groups in which most changed; None where there is one alone, or none."""
    sums = rows.groupby("fruit_group")[[*COUNTS, "fixed", "broken"]].sum()
    if scope.group or not scope.pallets or sums.empty:
        return None
    most = (sums["fixed"] + sums["broken"]).sort_values(ascending=False, kind="stable").index[:MOST_GROUPS]
    shown = sums.loc[most]
    frame = two_sided(shown, [str(name) for name in shown.index], [""] * len(shown))
    return Figure(
        name="what-changed-by-group",
        title=WORDS["by_group"],
        sentence=answer.text,
        chart=fixed_and_broken,
        frame=frame,
        options={"order": tuple(frame["name"].drop_duplicates()), "axis": WORDS["axis"]},
        table=sums.reset_index(),
    )


def two_sided(sums: pd.DataFrame, names: list[str], verdicts: list[str]) -> pd.DataFrame:
    """Rows of ``charts.changes.fixed_and_broken``.

    Args:
        sums: found, cleared, lost, alarmed, fixed, broken; a row a name.
        names: of the rows.
        verdicts: of each row; empty = not asked.
    """
    records = []
    for name, verdict, row in zip(names, verdicts, sums.to_dict("records"), strict=True):
        net = signed_count(row["fixed"] - row["broken"])
        gap = texts.OVERVIEW["unclear"].format(n=net) if verdict == "not distinguishable" else net
        for side, sign in (("broken", -1), ("fixed", 1)):
            records.append(
                {
                    "name": name,
                    "side": side,
                    "n": sign * row[side],
                    "text": count(row[side]),
                    "words": WORDS[f"{side}_words"].format(**{key: count(row[key]) for key in COUNTS}),
                    "heading": name if sign > 0 else "",
                    "gap": gap if sign > 0 else "",
                }
            )
    columns = ["name", "side", "n", "text", "words", "heading", "gap"]
    return pd.DataFrame(records, columns=columns)


def fruit_that_moved(scope: Scope, before: Run, after: Run, *, fixed: bool) -> pd.DataFrame:
    """The fruit that were put right, or wrong, on a chosen defect; those whose score moved most first.

    Returns:
        fruit_id, fruit_group, defect, y_true, fixed, score_a, score_b; a row a fruit.
    """
    rows = scope.store.ask_large(changes.moved, before.run_id, after.run_id, scope.multiclass)
    rows = _kept(scope, rows)
    return rows[rows["fixed"] == int(fixed)].drop_duplicates("fruit_id")


def settled_by(scope: Scope, before: Run, after: Run) -> str:
    """What would settle an unclear difference, in words; empty where nothing is known."""
    test = _test(scope, before, after)
    return "" if test is None else settled(test)

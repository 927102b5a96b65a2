"""The sentences: the right runs, the right numbers, the right words."""

from __future__ import annotations

import pandas as pd
import pytest

from dashboard import answers, contenders
from dashboard.contenders import Contender
from dashboard.options import favourite, run_options

RUN = {
    "kind": "baseline", "method": "supervised", "backbone": "r", "init": "random", "modalities": '["rgb"]',
    "label_fraction": 1.0, "seed": 0, "transductive": 0, "name": "n", "finished": "t",
}  # fmt: skip
OURS = Contender("b", "barlow_twins", "barlow", "t", 0.7, 3)
THEIRS = Contender("a", "supervised", "base", "t", 0.6, 3)


def runs(*changes: dict) -> pd.DataFrame:
    return pd.DataFrame([RUN | {"run_id": f"r{i}"} | change for i, change in enumerate(changes)])


def metrics(*values: tuple) -> pd.DataFrame:
    columns = ["run_id", "metric", "defect", "value", "ci_low", "ci_high"]
    return pd.DataFrame(list(values), columns=columns)


def overall(*values: float | None) -> pd.DataFrame:
    return metrics(*((f"r{i}", "mcc", None, value, None, None) for i, value in enumerate(values)))


def differences(*rows: tuple) -> pd.DataFrame:
    columns = [
        "defect",
        "metric",
        "delta",
        "ci_low",
        "ci_high",
        "p_value",
        "p_adjusted",
        "test",
        "n",
        "verdict",
    ]
    return pd.DataFrame(
        [
            (defect, metric, delta, low, high, 0.01, 0.02, "t", 412, verdict)
            for defect, metric, delta, low, high, verdict in rows
        ],
        columns=columns,
    )


def spaced(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_best_is_chosen_by_its_mean_and_stands_with_its_first_seed() -> None:
    lucky = {"method": "moco", "kind": "finetune", "init": "ssl"}
    steady = {"method": "simclr", "kind": "finetune", "init": "ssl"}
    found = runs({}, lucky, lucky | {"seed": 1}, steady | {"seed": 2}, steady | {"seed": 1})
    reference, challenger = contenders.best_pair(found, overall(0.5, 0.9, 0.1, 0.6, 0.62))
    assert (reference.run_id, reference.seeds) == ("r0", 1)
    assert (challenger.method, challenger.run_id, challenger.seeds) == ("simclr", "r4", 2)
    assert challenger.value == pytest.approx(0.61)


def test_test_fruit_choose_nothing_that_they_then_judge() -> None:
    ssl = {"kind": "finetune", "init": "ssl"}
    found = runs({}, ssl | {"method": "moco"}, ssl | {"method": "simclr"})
    judged = overall(0.5, 0.9, 0.6)
    inner = metrics(*((f"r{i}", "inner_mcc", None, v, None, None) for i, v in enumerate((0.5, 0.55, 0.7))))
    _, challenger = contenders.best_pair(found, pd.concat([judged, inner]))
    assert (challenger.method, challenger.value) == ("simclr", 0.6), "chosen on validation, worth its test"
    _, challenger = contenders.best_pair(found, pd.concat([judged, inner.head(2)]))
    assert challenger.method == "moco", "not every one was judged on validation fruit"


def test_both_sides_are_represented_by_a_seed_that_both_have() -> None:
    """Where seed 0 of the pretraining failed, the stored test is of seed 1 on either side."""
    ssl = {"kind": "finetune", "init": "ssl"}
    found = runs({"seed": 0}, {"seed": 1}, ssl | {"seed": 1}, ssl | {"seed": 2})
    reference, challenger = contenders.best_pair(found, overall(0.5, 0.5, 0.6, 0.7))
    assert (reference.run_id, challenger.run_id) == ("r1", "r2")
    apart = runs({"seed": 0}, ssl | {"seed": 3})
    assert [one.run_id for one in contenders.best_pair(apart, overall(0.5, 0.6))] == ["r0", "r1"]


def test_transductive_and_undefined_runs_never_count() -> None:
    ssl = {"kind": "finetune", "init": "ssl"}
    found = runs({}, ssl | {"transductive": 1}, ssl)
    reference, challenger = contenders.best_pair(found, overall(0.5, 0.9, None))
    assert reference.run_id == "r0" and challenger is None
    assert contenders.best_pair(found.head(0), overall()) == (None, None)


def test_runs_with_fewer_labels_are_not_the_best() -> None:
    found = runs({}, {"label_fraction": 0.1, "method": "other"})
    assert contenders.best_pair(found, overall(0.5, 0.9))[0].run_id == "r0"


def test_a_clear_gain_is_said_with_number_interval_and_n() -> None:
    said = answers.compared(
        OURS,
        THEIRS,
        differences(("stem-end-rot", "recall", 0.09, 0.05, 0.13, "better")),
        metrics(),
        "stem-end-rot",
    )
    assert spaced(said.text) == (
        "Pretraining with Barlow Twins finds 9 more of 100 fruit with stem end rot (5 to 13; 412 fruit)."
    )
    assert said.verdict == answers.BETTER


def test_a_loss_is_said_as_plainly_as_a_gain() -> None:
    said = answers.compared(
        OURS, THEIRS, differences((None, "recall", -0.04, -0.07, -0.01, "worse")), metrics(), None
    )
    assert (
        spaced(said.text)
        == "Pretraining with Barlow Twins finds 4 fewer of 100 defects (−7 to −1; 412 fruit)."
    )
    assert said.verdict == answers.WORSE


def test_an_unclear_difference_is_never_a_claim() -> None:
    said = answers.compared(
        OURS, THEIRS, differences((None, "recall", 0.02, -0.03, 0.06, "")), metrics(), None
    )
    assert "no clear difference: 2 more of 100 defects found (−3 to 6" in said.text
    assert said.verdict == answers.UNCLEAR


def test_agreement_speaks_where_finding_was_not_tested() -> None:
    said = answers.compared(
        OURS, THEIRS, differences((None, "mcc", 0.07, 0.03, 0.11, "better")), metrics(), None
    )
    assert "raises the agreement with the labels by 0.070 (0.030 to 0.11" in said.text
    unclear = answers.compared(
        OURS, THEIRS, differences((None, "mcc", 0.01, -0.03, 0.05, "")), metrics(), None
    )
    assert "no clear difference to the agreement" in unclear.text and unclear.verdict == answers.UNCLEAR


def test_finding_more_by_calling_more_is_no_gain() -> None:
    said = answers.compared(
        OURS,
        THEIRS,
        differences((None, "recall", 0.2, 0.1, 0.3, "better"), (None, "mcc", 0.01, -0.03, 0.05, "")),
        metrics(),
        None,
    )
    assert "no clear difference to the agreement" in said.text
    assert said.verdict == answers.UNCLEAR


def test_the_detail_names_the_largest_gains_and_the_level() -> None:
    found = differences(
        (None, "recall", 0.05, 0.02, 0.08, "better"),
        ("rot", "recall", 0.12, 0.05, 0.2, "better"),
        ("scar", "recall", 0.3, -0.1, 0.6, ""),
        ("sunburn", "recall", 0.08, 0.02, 0.2, "better"),
    )
    level = metrics(("a", "mcc", None, 0.64, None, None), ("b", "mcc", None, 0.71, None, None))
    said = answers.compared(OURS, THEIRS, found, level, None)
    # Means over the seeds, as the difference is, not the numbers of the runs in the figure.
    assert said.detail == (
        "It helps most with rot (12 more of 100) and sunburn (8 more of 100). "
        "Agreement with the labels (MCC) is 0.70 against 0.60 for the baseline."
    )


def test_without_a_test_there_is_no_verdict() -> None:
    level = metrics(("a", "recall", None, 0.78, None, None), ("b", "recall", None, 0.84, None, None))
    said = answers.compared(OURS, THEIRS, differences(), level, None)
    assert said.text == "Pretraining with Barlow Twins finds 84 of 100 defects, the baseline 78."
    assert said.verdict == answers.UNTESTED


def test_one_run_alone() -> None:
    own = metrics(
        ("a", "recall", None, 0.78, 0.74, 0.82),
        ("a", "recall", "rot", 0.7, 0.6, 0.8),
    )
    counts = pd.DataFrame({"defect": ["rot"], "tp": [70], "fp": [8], "fn": [30], "tn": [130]})
    said = answers.average("the baseline", own, counts, multiclass=False)
    assert spaced(said.text) == (
        "On average over 1 defect, the baseline finds 78 of 100 fruit that have one (74 to 82; 238 fruit)."
    )
    assert said.detail == "90 of 100 alarms are right."
    classes = metrics(("a", "accuracy", None, 0.91, 0.9, 0.92))
    judged = pd.DataFrame({"defect": ["ripe"], "tp": [900], "fp": [20], "fn": [100], "tn": [2500]})
    assert spaced(answers.average("the baseline", classes, judged, multiclass=True).text) == (
        "The baseline puts 91 of 100 fruit into the right class (90 to 92; 3,520 fruit)."
    )
    assert "nothing can be said" in answers.average("x", metrics(), counts, multiclass=False).text


def test_alarms_are_counted_together_not_averaged_over_defects() -> None:
    """One number on Overview, Defects and in the pack: 74 of 100 alarms, where the defects' mean is 54."""
    counts = pd.DataFrame(
        {"defect": ["rot", "scar"], "tp": [90, 1], "fp": [20, 12], "fn": [10, 1], "tn": [80, 186]}
    )
    both = metrics(("a", "recall", None, 0.7, 0.6, 0.8), ("a", "precision", None, 0.54, None, None))
    whole = answers.average("the baseline", both, counts, multiclass=False)
    assert whole.detail == answers.decided("the baseline", counts).detail == "74 of 100 alarms are right."


def test_decisions_are_counted_literally() -> None:
    counts = pd.DataFrame(
        {"defect": ["rot", "scar"], "tp": [8, 1], "fp": [2, 1], "fn": [2, 9], "tn": [88, 89]}
    )
    said = answers.decided("this run", counts, what="internal defects")
    assert said.text == "This run finds 45 of 100 internal defects (9 of 20)."
    assert said.detail == "75 of 100 alarms are right."
    interval = metrics(("a", "recall", "rot", 0.8, 0.5, 0.95))
    one = answers.decided("this run", counts.head(1), interval)
    assert spaced(one.text) == "This run finds 80 of 100 fruit with rot (50 to 95; 100 fruit)."
    alone = answers.decided("this run", counts.head(1))
    assert spaced(alone.text) == "This run finds 80 of 100 fruit with rot (8 of 10; 100 fruit)."


def test_no_fruit_with_the_defect_is_said() -> None:
    counts = pd.DataFrame({"defect": ["rot"], "tp": [0], "fp": [2], "fn": [0], "tn": [8]})
    assert answers.decided("this run", counts).text == (
        "No fruit with rot is among the 10 fruit judged here, so nothing can be said about it."
    )


def test_classes_are_counted() -> None:
    rows = pd.DataFrame({"true_class": ["a", "b"], "predicted_class": ["a", "a"], "n": [9, 1]})
    assert spaced(answers.classified("this run", rows).text) == (
        "This run puts 90 of 100 fruit into the right class (10 fruit)."
    )


SSL = {"kind": "finetune", "init": "ssl", "method": "simclr"}
FEW = {"label_fraction": 0.1}


def test_pretraining_on_few_labels_is_compared_with_the_baseline_on_as_many() -> None:
    found = runs({}, FEW, SSL | FEW, SSL | FEW | {"kind": "probe", "method": "moco"})
    numbers = overall(0.5, 0.2, 0.3, 0.4)
    reference, challenger = contenders.best_pair(found, numbers)
    assert (reference.run_id, challenger.run_id, challenger.share) == ("r1", "r2", 0.1)
    assert contenders.best_whole(found, numbers).run_id == "r0"


def test_a_comparison_on_all_labels_is_preferred() -> None:
    found = runs({}, FEW, SSL | FEW, SSL)
    reference, challenger = contenders.best_pair(found, overall(0.5, 0.2, 0.9, 0.4))
    assert (reference.run_id, challenger.run_id) == ("r0", "r3")


def test_the_sentence_says_how_many_labels_and_what_would_settle_it() -> None:
    few = Contender("b", "simclr", "simclr", "t", 0.3, 1, 0.1)
    tests = differences((None, "recall", -0.05, -0.28, 0.19, "not distinguishable with these 300 fruit; x"))
    said = answers.compared(few, THEIRS, tests, metrics(), None)
    assert spaced(said.text).startswith(
        "With 10 % of the labels, pretraining with SimCLR makes no clear difference"
    )
    assert said.detail == "Agreement with the labels (MCC) is 0.30 against 0.60 for the baseline. X."
    assert said.verdict == answers.UNCLEAR
    assert answers.settled({"n_needed": 8413.0}) == "About 8,400 labelled fruit would settle it."
    assert answers.settled({"n_needed": None, "verdict": "not distinguishable"}) == ""


def test_a_page_opens_with_a_pretrained_run_of_those_on_the_most_labels() -> None:
    found = runs(SSL | FEW | {"name": "a"}, {"name": "b"}, SSL | {"name": "c"}).assign(git_commit="x", twin=0)
    assert favourite(run_options(found), found).run_id == "r2"
    assert favourite(run_options(found.head(2)), found.head(2)).run_id == "r1"
    assert favourite(run_options(found.head(1)), found.head(1)).run_id == "r0"

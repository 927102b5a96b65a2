"""What changed, sensors, augmentations and methods: what they say, and that their filters follow SQL."""

from __future__ import annotations

import sqlite3

import pytest
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df

PAGES = ("changes", "inputs", "augmentations", "methods")
FINAL = "study_id = 'study-overnight' AND purpose = 'final'"
BASELINE = f"(SELECT run_id FROM run WHERE {FINAL} AND kind = 'baseline' AND seed = 0)"
BARLOW = (
    f"(SELECT run_id FROM run WHERE {FINAL} AND kind = 'finetune' AND method = 'barlow_twins' AND seed = 0)"
)
MOVED = f"""
    FROM prediction b JOIN prediction a USING (defect, fold, fruit_id)
    WHERE b.run_id = {BARLOW} AND a.run_id = {BASELINE} AND b.y_true IS NOT NULL AND a.y_pred <> b.y_pred
"""


@pytest.mark.parametrize("page", PAGES)
def test_pages_open_on_a_full_store(full_store, open_page, page) -> None:
    app = open_page(full_store, page)
    assert len(app.title) == 1 and app.get("vega_lite_chart")


@pytest.mark.parametrize("page", PAGES)
def test_pages_open_on_one_defect_and_on_every_study(full_store, open_page, page) -> None:
    for address in ({"defect": "body rot"}, {"study": "All studies"}, {"defect": "External defects"}):
        assert open_page(full_store, page, **address).title


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("kind", ["half_written_store", "full_store"])
def test_what_is_missing_comes_with_its_command(request, open_page, written, page, kind) -> None:
    address = {} if kind == "half_written_store" else {"dataset": "strawberry-crops"}
    app = open_page(request.getfixturevalue(kind), page, **address)
    if kind == "full_store" and page in ("changes", "methods"):
        assert app.get("vega_lite_chart"), "baselines can be compared with each other"
        return
    if kind == "full_store" and page == "inputs":
        assert "one sensor only" in written(app) and not app.code, "no command could help"
        return
    assert app.title[0].value.replace("\\", "").endswith("yet") and not app.get("vega_lite_chart")
    assert any(
        code.value.startswith("python -m backend.tune") for code in app.code
    ) or "Running now" in written(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_store_without_a_study_names_the_command(empty_store, open_page, page) -> None:
    assert open_page(empty_store, page).code[0].value.startswith("python -m backend.tune --plan quick")


@pytest.mark.parametrize("page", ["changes", "methods"])
def test_two_models_that_only_guess_are_said_to(changed, full_store, open_page, written, page) -> None:
    assert "hardly better than guessing" not in written(open_page(full_store, page))
    store = changed("UPDATE metric SET value = 0.04 WHERE metric = 'mcc' AND defect IS NULL")
    assert "Agreement with the labels is 0.040 (MCC): hardly better than guessing" in written(
        open_page(store, page)
    )


def test_policies_that_only_guess_are_not_ranked(changed, full_store, open_page, headline, written) -> None:
    assert "matters most" in written(open_page(full_store, "augmentations"))
    store = changed(
        "UPDATE metric SET value = value / 20"
        " WHERE metric IN ('inner_mcc', 'probe_inner_mcc', 'mcc', 'knn_mcc') AND run_id IN"
        " (SELECT run_id FROM run WHERE purpose = 'augmentation-ablation')"
    )
    app = open_page(store, "augmentations")
    said = f"{headline(app)} {written(app)}"
    assert "nothing was learned" in said and "hardly better than guessing" in said
    assert "matters most" not in said


def test_the_changes_are_those_of_the_predictions(full_store, open_page, headline, written, ask) -> None:
    app = open_page(full_store, "changes")
    fixed, broken = ask(full_store, f"SELECT SUM(b.y_pred = b.y_true), SUM(a.y_pred = a.y_true) {MOVED}")[0]
    assert f"puts {fixed} decisions right that the baseline got wrong, and {broken} wrong" in headline(app)
    found = ask(full_store, f"SELECT COUNT(*) {MOVED} AND b.y_true = 1 AND b.y_pred = 1")[0][0]
    assert f"Newly found: {found};" in written(app)
    app.selectbox(key="defect").select("bruising").run()
    fixed = ask(full_store, f"SELECT SUM(b.y_pred = b.y_true) {MOVED} AND defect = 'bruising'")[0][0]
    assert headline(app).startswith(f"On bruising, Barlow Twins puts {fixed} fruit right")


def test_the_fruit_that_moved_stand_below(full_store, open_page, ask) -> None:
    app = open_page(full_store, "changes", defect="bruising", change="Put wrong")
    wrong = ask(
        full_store,
        f"SELECT fruit_id {MOVED} AND defect = 'bruising' AND b.y_pred <> b.y_true"
        " ORDER BY ABS(b.score - a.score) DESC, fruit_id",
    )
    cards = next(element.value for element in app.html if "class='cards'" in element.value)
    places = [cards.index(f"<h3>{name}</h3>") for (name,) in wrong[:6]]
    assert places == sorted(places) and cards.count("<article") == min(6, len(wrong))
    assert "<b>Before:</b>" in cards and "<b>After:</b>" in cards


def test_a_pallet_narrows_the_fruit(full_store, open_page, written, ask) -> None:
    pallet, n = ask(
        full_store,
        f"SELECT fruit_group, COUNT(DISTINCT fruit_id) FROM fruit JOIN (SELECT fruit_id {MOVED}"
        " AND b.y_pred = b.y_true) USING (fruit_id) GROUP BY 1 ORDER BY 2 DESC LIMIT 1",
    )[0]
    assert f"{n} fruit put right" in written(open_page(full_store, "changes", group=pallet))


def test_runs_that_must_not_be_compared_are_not(changed, open_page, headline) -> None:
    store = changed(f"UPDATE run SET transductive = 1 WHERE {FINAL} AND method = 'simclr'")
    app = open_page(store, "changes", after="simclr · rgb+nir (seed 0)")
    assert "cannot be compared: one of them saw the test fruit" in headline(app)
    assert not app.get("vega_lite_chart") and app.warning


def test_a_sensor_is_judged_by_its_stored_test(full_store, open_page, written, ask) -> None:
    app = open_page(full_store, "inputs", defect="stem end rot")
    delta, low, high, n = ask(
        full_store,
        "SELECT c.delta, c.ci_low, c.ci_high, c.n FROM comparison c JOIN run b ON b.run_id = c.run_id_b"
        " WHERE c.family = 'input-ablation: without nir' AND b.study_id = 'study-overnight'"
        " AND c.defect = 'stem-end-rot' AND c.metric = 'recall'",
    )[0]
    assert low > 0, "the sample store says that rot needs NIR"
    said = f"Without NIR, {100 * delta:.0f} fewer of 100 fruit with stem end rot are found"
    text = written(app).replace("\N{NO-BREAK SPACE}", " ")
    assert f"{said} ({100 * low:.0f} to {100 * high:.0f}; {n} fruit)." in text


def test_what_fails_is_what_the_store_says(full_store, open_page, written, ask) -> None:
    app = open_page(full_store, "inputs", defect="body rot")
    rows = next(
        rows
        for chart in app.get("vega_lite_chart")
        if (rows := _rows(chart))[0].get("name") == "everything works"
    )
    whole, rgb, view = (
        ask(
            full_store,
            f"SELECT value FROM metric WHERE run_id = {BASELINE} AND fold IS NULL AND defect = 'body-rot'"
            " AND metric = ?",
            metric,
        )[0][0]
        for metric in ("mcc", "mcc_without:rgb", "mcc_without_view:nir:4")
    )
    shown = {row["name"]: row["value"] for row in rows}
    assert shown["everything works"] == whole
    assert (shown["without RGB"], shown["NIR view 4 dark"]) == (rgb, view)
    assert len(shown) == 1 + 2 + 8, "two sensors of four views each"
    worst = min(("RGB", "NIR"), key=lambda name: shown[f"without {name}"])
    assert f"If {worst} fails, " in written(app)


def test_a_view_that_alone_shows_a_defect_is_named(full_store, changed, open_page, written) -> None:
    assert "above all" not in written(open_page(full_store, "inputs"))
    worse = "UPDATE metric SET value = -0.9, ci_low = -0.95, ci_high = -0.85"
    store = changed(f"{worse} WHERE metric = 'mcc_without_view:nir:4' AND defect = 'body-rot'")
    text = written(open_page(store, "inputs")).replace("\N{NO-BREAK SPACE}", " ")
    assert "Body rot shows in NIR view 4 above all: with it dark the agreement is -0.90 (-0.95 to -0.85)" in (
        text.replace("\N{MINUS SIGN}", "-")
    )
    assert text.count("above all") == 1


def test_what_fails_of_the_only_sensor_is_shown(changed, open_page, written) -> None:
    runs = "SELECT run_id FROM run r JOIN dataset d USING (dataset_id) WHERE d.name = 'strawberry-crops'"
    store = changed(
        "INSERT INTO metric (run_id, fold, defect, metric, value, ci_low, ci_high)"
        " SELECT run_id, fold, defect, 'mcc_without_view:rgb:1', value - 0.1, ci_low, ci_high FROM metric"
        f" WHERE metric = 'mcc' AND fold IS NULL AND run_id IN ({runs})"
    )
    app = open_page(store, "inputs", dataset="strawberry-crops")
    assert "one sensor only" in written(app) and "What if one fails?" in written(app)
    assert {row["name"] for row in _rows(app.get("vega_lite_chart")[0])} == {
        "everything works",
        "RGB view 1 dark",
    }


def test_the_heat_map_holds_the_stored_values(full_store, open_page, ask) -> None:
    app = open_page(full_store, "inputs", study="All studies", model="the baseline (rgb + nir + pressure)")
    cells = _rows(app.get("vega_lite_chart")[0])
    assert {row["row"] for row in cells if row["part"] == "mark"} == {"RGB", "NIR", "pressure"}
    assert len({row["column"] for row in cells}) == 7, "every combination of three sensors"
    value = ask(
        full_store,
        "SELECT value FROM metric JOIN run USING (run_id) WHERE study_id = 'study-sensors'"
        " AND modalities = '[\"nir\"]' AND metric = 'mcc' AND defect = 'body-rot' AND fold IS NULL",
    )[0][0]
    cell = next(
        row
        for row in cells
        if row["row"].startswith("body rot (") and (row["column"], row["part"]) == ("NIR", "cell")
    )
    assert cell["large"] == f"{100 * value:.0f}"


def _rows(chart) -> list[dict]:
    """The rows of a chart as the browser gets them."""
    return convert_arrow_bytes_to_pandas_df(chart.proto.data.data).to_dict("records")


def test_the_calculator_prices_errors_as_sql_does(full_store, open_page, written, ask) -> None:
    app = open_page(full_store, "inputs", drop="NIR", defect="body rot")
    costs = dict(
        ask(
            full_store,
            "SELECT modalities, 1000.0 * (1.2 * SUM(fn) + 0.35 * SUM(fp)) / SUM(tp + fp + fn + tn)"
            " FROM defect_confusion JOIN run USING (run_id) WHERE fold IS NULL AND defect = 'body-rot'"
            f" AND (run_id = {BASELINE} OR (study_id = 'study-overnight' AND purpose = 'input-ablation'))"
            " GROUP BY run_id",
        )
    )
    more = costs['["rgb"]'] - costs['["rgb","nir"]']
    assert more > 0 and f"Without NIR, errors cost {_money(more)} more per 1,000 fruit" in written(app)
    app.number_input(key="sensor-price").set_value(10).run()
    assert "At 10 a year, keeping it saves" in written(app)
    app.number_input(key="fruit-a-year").set_value(0).run()
    assert "0 a year at 0 fruit" in written(app) and not app.exception


def _money(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.0f}"


def test_the_ranking_of_augmentations_leaves_confirmations_out(full_store, open_page, ask) -> None:
    app = open_page(full_store, "augmentations")
    value = ask(
        full_store,
        "SELECT DISTINCT value FROM metric JOIN run USING (run_id) WHERE purpose = 'augmentation-ablation'"
        " AND metric = 'probe_inner_mcc' AND seed = 7 AND json_extract(params, '$.augment.policy') = 'custom'"
        " AND json_extract(params, '$.augment.operations') = '[\"colour_jitter\"]'",
    )
    cell = next(
        row
        for row in _rows(app.get("vega_lite_chart")[0])
        if row["row"].endswith("colour jitter") and row["words"].startswith("colour jitter:")
    )
    assert len(value) == 1 and cell["large"] == f"{100 * value[0][0]:.0f}"
    confirmed = [row["value"] for row in _rows(app.get("vega_lite_chart")[3])]
    assert max(confirmed) < 0.9, "confirmations have a score above 0.9 in the sample store"


def test_the_page_says_how_to_pretrain_with_what_won(full_store, changed, open_page) -> None:
    codes = [element.value for element in open_page(full_store, "augmentations").code]
    assert '[pretraining]\npolicy = "fruit"' in codes, "the one policy that was tested there agrees better"
    lost = changed("UPDATE comparison SET verdict = 'worse' WHERE family LIKE 'augmentation%'")
    codes = [element.value for element in open_page(lost, "augmentations").code]
    assert '[pretraining]\npolicy = "fruit"\nwithout = ["gaussian_blur"]' in codes, "blur costs .02 there"
    guessed = changed("UPDATE metric SET value = 0.01 WHERE metric IN ('probe_inner_mcc', 'mcc', 'knn_mcc')")
    assert not [text for text in open_page(guessed, "augmentations").code if "[pretraining]" in text.value]


def test_the_measure_changes_the_matrix(full_store, open_page) -> None:
    inner, near = (
        _rows(open_page(full_store, "augmentations", proxy=proxy).get("vega_lite_chart")[0])[0]["large"]
        for proxy in ("Inner validation", "Nearest fruit")
    )
    assert int(inner) - int(near) == 3, "nearest fruit lie 0.03 lower in the sample store"


def test_the_contact_sheet_is_shown_or_its_command(full_store, tmp_path, open_page, written) -> None:
    app = open_page(full_store, "augmentations")
    assert len(app.get("image")) == 2, "the policy, and every operation alone"
    copy = tmp_path / "copy.db"  # its artifacts stay behind
    with sqlite3.connect(full_store) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    app = open_page(copy, "augmentations")
    assert not app.get("image")
    commands = [code.value for code in app.code[-2:]]
    assert all(command.startswith("python -m backend.augment ") for command in commands)
    assert commands[0].endswith("--policy fruit") and commands[1].endswith("--every")


def test_labels_saved_follow_the_means_over_seeds(full_store, open_page, headline, ask) -> None:
    baseline = ("baseline", "supervised")
    few, ours, theirs = (
        ask(
            full_store,
            "SELECT AVG(value) FROM metric JOIN run USING (run_id) WHERE study_id = 'study-overnight'"
            " AND metric = 'mcc' AND defect IS NULL AND fold IS NULL AND label_fraction = ? AND kind = ?"
            " AND method = ? AND purpose IN ('final', 'label-efficiency')",
            *values,
        )[0][0]
        for values in ((0.05, "finetune", "barlow_twins"), (0.25, *baseline), (1.0, *baseline))
    )
    assert ours < few < theirs, "the sample store saves labels"
    share = 0.25 * (1 / 0.25) ** ((few - ours) / (theirs - ours))
    said = headline(open_page(full_store, "methods"))
    assert (
        said.startswith(
            "Pretraining with Barlow Twins on 5 % of the labels is as good as training from labels alone on "
            f"{100 * share:.0f} %"
        )
        and "3 seeds" in said
    )


def test_no_saving_is_claimed_where_the_difference_is_not_clear(changed, open_page, headline) -> None:
    few = "(SELECT run_id FROM run WHERE study_id = 'study-overnight' AND label_fraction = 0.05 AND seed = 0"
    store = changed(
        f"UPDATE comparison SET run_id_a = {few} AND kind = 'baseline'), verdict = 'not distinguishable',"
        f" run_id_b = {few} AND kind = 'finetune' AND method = 'barlow_twins')"
        f" WHERE run_id_a = {BASELINE} AND run_id_b = {BARLOW}"
    )
    said = headline(open_page(store, "methods"))
    assert "on 5 % of them it makes no clear difference (3 seeds)" in said and "as good as" not in said


@pytest.mark.parametrize(
    ("verdict", "starts"),
    [
        ("better", "The best pretraining is Barlow Twins: "),
        ("not distinguishable", "Pretraining with Barlow Twins is not clearly better than the baseline: "),
        ("worse", "Pretraining with Barlow Twins is worse than the baseline: "),
    ],
)
def test_the_best_of_all_labels_is_not_praised_beyond_its_test(changed, open_page, headline, verdict, starts):
    store = changed(
        "UPDATE comparison SET verdict = ? WHERE family LIKE 'pretraining%' AND metric = 'mcc'", verdict
    )
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE run SET status = 'failed' WHERE label_fraction < 1")
    assert headline(open_page(store, "methods")).startswith(starts)


def test_the_share_of_labels_changes_the_table(full_store, open_page, ask) -> None:
    app = open_page(full_store, "methods", labels="10 %")
    cells = {(row["row"], row["column"]): row["large"] for row in _rows(app.get("vega_lite_chart")[1])}
    value = ask(
        full_store,
        "SELECT AVG(value) FROM metric JOIN run USING (run_id) WHERE study_id = 'study-overnight' AND"
        " metric = 'mcc' AND defect IS NULL AND fold IS NULL AND label_fraction = 0.1 AND kind = 'baseline'",
    )[0][0]
    assert cells["baseline", "fine-tuned"] == f"{value:.2f}"
    assert {column for _, column in cells} == {"fine-tuned"}, "no readout was run on 10 %"


def test_the_method_filter_changes_what_is_argued_for(full_store, open_page, headline, ask) -> None:
    said = headline(open_page(full_store, "methods", method="SimCLR"))
    value = ask(
        full_store,
        f"SELECT AVG(value) FROM metric JOIN run USING (run_id) WHERE {FINAL} AND kind = 'finetune' AND"
        " method = 'simclr' AND metric = 'mcc' AND defect IS NULL AND fold IS NULL",
    )[0][0]
    assert said.startswith(f"SimCLR reaches {value:.2f} (") and said.endswith("fine-tuned (MCC).")


def test_a_collapsed_pretraining_says_why(full_store, open_page, written) -> None:
    text = written(open_page(full_store, "methods"))
    assert "simsiam pretrain · rgb+nir, seed 0: fold 1: collapsed in epoch 8" in text


def test_the_health_of_the_pretraining_is_one_sentence(full_store, open_page, written, ask) -> None:
    (n, stopped) = ask(
        full_store,
        "SELECT COUNT(*), SUM(status <> 'complete') FROM run"
        " WHERE study_id = 'study-overnight' AND kind = 'pretrain'"
        " AND purpose IN ('final', 'label-efficiency')",
    )[0]
    ends = ask(
        full_store,
        "SELECT AVG(value) FROM curve c JOIN run USING (run_id) WHERE study_id = 'study-overnight'"
        " AND kind = 'pretrain' AND status = 'complete' AND split = 'health' AND metric = 'embedding_std'"
        " AND epoch = (SELECT MAX(epoch) FROM curve o WHERE o.run_id = c.run_id AND o.metric = c.metric"
        " AND o.split = 'health') GROUP BY run_id",
    )
    low, high = (f"{end(value for (value,) in ends):.2f}" for end in (min, max))
    text = written(open_page(full_store, "methods"))
    assert f"{n} pretrainings, {stopped} of them stopped." in text
    assert f"a spread of {low if low == high else f'{low} to {high}'}:" in text


def test_the_curves_of_health_are_drawn_once_asked_for(full_store, open_page) -> None:
    app = open_page(full_store, "methods")
    closed = len(app.get("vega_lite_chart"))
    app.session_state["health"] = True
    app.run()
    shown = [row["series"] for chart in app.get("vega_lite_chart")[closed:] for row in _rows(chart)]
    assert len(app.get("vega_lite_chart")) == closed + 4 and "SimCLR" in shown

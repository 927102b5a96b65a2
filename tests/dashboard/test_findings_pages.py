"""Where it looks, feature space, tuning, data, report and notes of runs: what they say follows SQL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.store.annotations import Annotations, Note
from dashboard.basket import thaw

PAGES = ("gradcam", "space", "tuning", "data", "report")
FINAL = "study_id = 'study-overnight' AND purpose = 'final'"
BARLOW = (
    f"(SELECT run_id FROM run WHERE {FINAL} AND kind = 'finetune' AND method = 'barlow_twins' AND seed = 0)"
)
BASELINE = "baseline · resnet18 · rgb+nir"


@pytest.fixture
def own_store(full_store: Path, tmp_path: Path) -> Path:
    """The full store under another path, so that its notes are this test's own."""
    store = tmp_path / "store.db"
    store.symlink_to(full_store)
    return store


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "address",
    [{}, {"defect": "body rot"}, {"study": "All studies"}, {"dataset": "strawberry-crops"}],
    ids=["all", "one", "every study", "classes"],
)
def test_pages_open_on_a_full_store(full_store, open_page, page, address) -> None:
    app = open_page(full_store, page, **address)
    assert len(app.title) == 1 and not app.error


@pytest.mark.parametrize("page", ["gradcam", "space", "tuning"])
def test_what_is_missing_comes_with_its_command(half_written_store, open_page, page) -> None:
    app = open_page(half_written_store, page)
    assert app.title[0].value.endswith("yet") and not app.get("vega_lite_chart")
    assert app.code[0].value.startswith("python -m backend.tune --plan overnight --dataset ")


def test_data_that_nobody_checked_says_so(half_written_store, open_page, headline) -> None:
    app = open_page(half_written_store, "data")
    assert "not checked yet" in headline(app) and app.get("vega_lite_chart")
    assert app.code[0].value.startswith("python -m backend.tune --plan overnight")


def test_a_report_of_nothing_says_so(half_written_store, open_page, written) -> None:
    app = open_page(half_written_store, "report")
    assert "nothing to tell yet" in written(app) and not app.get("download_button")


@pytest.mark.parametrize("page", PAGES)
def test_a_store_without_a_study_names_the_command(empty_store, open_page, page) -> None:
    assert open_page(empty_store, page).code[0].value.startswith("python -m backend.tune --plan quick")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "address",
    [
        {"box": "tsne:1,2,x"},
        {"fruit": "<script>"},
        {"explained": "x", "heat-score": "abc"},
        {"projection": "x", "colour": "x"},
        {"finding": "x", "search-of": "x"},
    ],
    ids=["box", "fruit", "run", "colour", "finding"],
)
def test_a_wrong_address_falls_back(full_store, open_page, page, address) -> None:
    assert open_page(full_store, page, **address).title


def test_the_share_that_looks_at_the_defect_is_the_stored_one(full_store, open_page, headline, ask) -> None:
    app = open_page(full_store, "gradcam", defect="body rot")
    value, low, high = ask(
        full_store,
        "SELECT value, ci_low, ci_high FROM metric WHERE metric = 'localisation_pointing' "
        f"AND defect = 'body-rot' AND run_id = {BARLOW}",
    )[0]
    assert f"looks at body rot itself in {100 * value:.0f} of 100" in headline(app)
    del low, high


def test_the_gallery_holds_the_cases_of_sql(full_store, open_page, written, ask, cards) -> None:
    app = open_page(full_store, "gradcam", defect="bruising")
    n = "SELECT COUNT(DISTINCT fruit_id) FROM attribution WHERE defect = 'bruising' AND run_id = " + BARLOW
    assert f"{ask(full_store, n)[0][0]} cases" in written(app)
    app.pills(key="heat-outcome").select("missed").run()
    missed = ask(full_store, f"{n} AND scores ->> '$.outcome' = 'fn'")[0][0]
    assert f"{missed} cases" in written(app) and "missed" in cards(app)
    assert cards(app).count("<article") == missed == cards(app).count("data:image/webp;base64,")


def test_maps_of_what_pressure_alone_tells_are_called_that_and_come_last(
    full_store, changed, open_page, written, cards
) -> None:
    pictures = "metric IN ('shapley:rgb', 'shapley:nir')"
    copy = changed(
        f"UPDATE metric SET value = iif({pictures}, 0, .8), ci_low = iif({pictures}, -.04, .7), "
        f"ci_high = iif({pictures}, .04, .9) WHERE metric LIKE 'shapley:%' AND defect = 'bruising'"
    )
    assert "Pressure alone" not in written(open_page(full_store, "gradcam"))
    assert "bruising" in cards(open_page(full_store, "gradcam"))
    app = open_page(copy, "gradcam")
    assert "Pressure alone tells bruising" in written(app)
    assert cards(app) and "bruising" not in cards(app)


def test_two_runs_and_one_sensor_change_the_pictures(full_store, open_page, cards) -> None:
    app = open_page(full_store, "gradcam", defect="bruising")
    one = cards(app)
    app.selectbox(key="explained-against").select(BASELINE).run()
    both = cards(app)
    assert "baseline" in both and "baseline" not in one
    app.segmented_control(key="heat-sensors").set_value("NIR").run()
    assert cards(app) != both and not app.exception


def test_a_map_outside_the_artifact_folder_is_never_read(
    full_store, changed, open_page, tmp_path, cards
) -> None:
    copy = changed("UPDATE attribution SET path = '../../etc/passwd'")
    (tmp_path / "notes.png").write_bytes(b"x")
    before = cards(open_page(full_store, "gradcam", defect="bruising"))
    after = cards(open_page(copy, "gradcam", defect="bruising"))
    assert after.count("<article") == before.count("<article") and after != before


def test_neighbours_are_counted_as_in_sql(full_store, open_page, headline, ask) -> None:
    app = open_page(full_store, "space", defect="body rot")
    shared = ask(
        full_store,
        "SELECT AVG(b.labels ->> '$.body-rot') FROM neighbour n "
        "JOIN run r USING (run_id) JOIN fruit a ON a.dataset_id = r.dataset_id AND a.fruit_id = n.fruit_id "
        "JOIN fruit b ON b.dataset_id = r.dataset_id AND b.fruit_id = n.neighbour_id "
        f"WHERE r.run_id = {BARLOW} AND a.labels ->> '$.body-rot' = 1",
    )[0][0]
    assert f"with body rot, {100 * shared:.0f} have it too" in headline(app)


def test_a_searched_fruit_comes_with_its_neighbours_in_order(full_store, open_page, ask, cards) -> None:
    app = open_page(full_store, "space", fruit="avo-00012")
    beside = ask(
        full_store,
        "SELECT neighbour_id FROM neighbour WHERE fruit_id = 'avo-00012' "
        f"AND run_id = {BARLOW} ORDER BY rank",
    )
    html = cards(app)
    places = [html.index(f"<h3>{name}</h3>") for name in ("avo-00012", *(name for (name,) in beside[:5]))]
    assert places == sorted(places) and "1. neighbour, likeness" in html


def test_a_box_of_a_link_opens_its_fruit(full_store, open_page, written, ask, cards) -> None:
    inside = ask(
        full_store,
        "SELECT fruit_id FROM embedding WHERE projection = 'tsne' AND x BETWEEN 0 AND 1 "
        f"AND y BETWEEN -1 AND 1 AND run_id = {BARLOW}",
    )
    assert inside
    app = open_page(full_store, "space", box="tsne:0,1,-1,1")
    assert f"{len(inside)} fruit in the box" in written(app)
    shown = {name for (name,) in inside if f"<h3>{name}</h3>" in cards(app)}
    assert len(shown) == min(6, len(inside))
    other = open_page(full_store, "space", box="pca:0,1,-1,1")
    assert "No fruit chosen yet" in written(other), "a box belongs to its projection"


def test_every_colour_draws(full_store, open_page) -> None:
    app = open_page(full_store, "space")
    for colour in app.selectbox(key="colour").options:
        app.selectbox(key="colour").select(colour).run()
        assert not app.exception and len(app.get("vega_lite_chart")) == 2


def test_an_unlabelled_fruit_has_no_truth(full_store, open_page, cards) -> None:
    first = cards(open_page(full_store, "space", fruit="avo-00270")).split("</article>", 1)[0]
    assert "avo-00270" in first and "Truth:" not in first


def test_the_best_trial_is_that_of_sql(full_store, open_page, headline, ask) -> None:
    app = open_page(full_store, "tuning")
    label = app.selectbox(key="search-of").value
    best, n = ask(
        full_store,
        "SELECT MAX(m.value), COUNT(*) FROM metric m JOIN run r USING (run_id) WHERE m.metric = 'inner_mcc' "
        "AND m.fold IS NULL AND r.purpose = 'tune' AND r.kind = 'baseline' AND study_id = 'study-overnight'",
    )[0]
    assert label == "baseline"
    assert f"best of {n} combinations" in headline(app) and f"agreement of {best:.2f}" in headline(app)


def test_the_setting_that_was_planted_matters_most(full_store, open_page, written) -> None:
    assert "What mattered most: learning rate" in written(open_page(full_store, "tuning"))


def test_findings_are_counted_by_sql_and_open_their_fruit(
    full_store, open_page, headline, ask, cards
) -> None:
    app = open_page(full_store, "data")
    counts = dict(
        ask(full_store, "SELECT kind, COUNT(*) FROM finding JOIN dataset USING (dataset_id) "
            "WHERE name = 'synthetic-hass' GROUP BY kind")
    )  # fmt: skip
    assert f"{counts['label_issue']} doubtful labels" in headline(app)
    assert f"{counts['outlier']} odd fruit" in headline(app)
    app.segmented_control(key="finding").set_value(f"Duplicates ({counts['duplicate']})").run()
    html = cards(app)
    (first, second), *_ = ask(
        full_store,
        "SELECT fruit_id, other_id FROM finding JOIN dataset USING (dataset_id) "
        "WHERE kind = 'duplicate' AND name = 'synthetic-hass' ORDER BY value",
    )
    assert html.index(f"<h3>{first}</h3>") < html.index(f"<h3>{second}</h3>") and "bits differ" in html


def test_one_click_puts_a_figure_into_the_report(own_store, open_page, written) -> None:
    app = open_page(own_store, "overview")
    app.button(key="defect-by-defect-add").click().run()
    app = open_page(own_store, "tuning")
    app.button(key="history-add").click().run()
    basket = Annotations(own_store).basket()
    assert len(basket) == 2 and "Barlow Twins" in thaw(basket[0].payload).figure.sentence
    app = open_page(own_store, "report")
    assert "The review pack holds 2 figures." in app.title[0].value.replace("\\", "")
    command = f"python -m dashboard.report review-pack.html --store {own_store}"
    assert command in written(app)  # not that of the usual store
    app.button(key=f"down-{basket[0].item}").click().run()
    app.text_area(key=f"caption-{basket[1].item}").set_value("In our words.").run()
    after = Annotations(own_store).basket()
    assert [item.item for item in after] == [basket[1].item, basket[0].item]
    assert after[0].caption == "In our words."
    app.button(key=f"remove-{basket[0].item}").click().run()
    assert "holds 1 figure." in app.title[0].value.replace("\\", "")
    assert not Path(f"{own_store}-journal").exists()


def test_a_figure_of_another_version_can_be_removed(own_store, open_page) -> None:
    Annotations(own_store).put_into_basket("old", json.dumps({"old": True}))
    app = open_page(own_store, "report")
    assert "cannot be read" in app.error[0].value
    app.button(key="remove-1").click().run()
    assert not app.error


def test_a_note_a_tag_and_a_star_are_kept_and_filter_the_table(own_store, open_page, ask) -> None:
    run_id = ask(own_store, f"SELECT {BARLOW}")[0][0]
    app = open_page(own_store, "runs", inspect=run_id, detail="Notes")
    app.toggle(key=f"star-{run_id}").set_value(True).run()
    app.text_area(key=f"note-{run_id}").set_value("the one to ship").run()
    assert Annotations(own_store).note(run_id) == Note("the one to ship", True)
    Annotations(own_store).set_note("gone", Note(tags=("old",)))
    app = open_page(own_store, "runs", tag="Starred")
    assert app.dataframe[0].value["★"].tolist() == [True]
    app.pills(key="tag").set_value(["old"]).run()
    assert not app.dataframe and not app.exception


def test_runs_side_by_side(full_store, open_page, written, ask) -> None:
    of_baseline = f"SELECT run_id FROM run WHERE {FINAL} AND kind = 'baseline' AND seed = 0"
    (baseline,) = ask(full_store, of_baseline)[0]
    (barlow,) = ask(full_store, f"SELECT {BARLOW}")[0]
    app = open_page(full_store, "runs", compare=f"{baseline},{barlow},gone")
    assert "2 runs differ in" in written(app) and "barlow_twins · rgb+nir is ahead" in written(app)
    tables = {tuple(frame.value.index): frame.value for frame in app.dataframe}
    settings = next(table for index, table in tables.items() if "init" in index)
    assert settings.loc["init"].tolist() == ["random", "ssl"]
    numbers = next(table for index, table in tables.items() if "body rot" in index)
    of_rot = "SELECT value FROM metric WHERE metric = 'mcc' AND defect = 'body-rot' AND fold IS NULL"
    mcc = ask(full_store, f"{of_rot} AND run_id = ?", barlow)[0][0]
    assert numbers.iloc[:, 1]["body rot"].startswith(f"{mcc:.2f}")
    assert len(app.get("vega_lite_chart")) == 3


def test_runs_that_must_not_be_compared_say_why(full_store, open_page, ask) -> None:
    runs = [name for (name,) in ask(full_store, "SELECT run_id FROM run WHERE status = 'complete' "
            "GROUP BY dataset_id")]  # fmt: skip
    app = open_page(full_store, "runs", compare=",".join(runs))
    assert "different data sets" in app.warning[0].value


def test_a_file_of_a_run_can_be_fetched(full_store, open_page, ask) -> None:
    run_id = ask(full_store, f"SELECT {BARLOW}")[0][0]
    app = open_page(full_store, "runs", inspect=run_id, detail="Origin and files")
    assert app.get("download_button") and "explanations/" in app.selectbox(key="file").value

"""The page on defects: runs, folds, thresholds, cells and their fruit."""

from __future__ import annotations

import base64
import re
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

from dashboard.format import with_interval


def test_the_run_and_its_fold_decide_the_sentence(full_store: Path, open_page, ask, finals) -> None:
    app = open_page(full_store, "defects")
    app.selectbox(key="run").select("baseline · resnet18 · rgb+nir (seed 1)").run()
    app.selectbox(key="fold").select("Fold 2").run()
    tp, fn = ask(
        full_store,
        "SELECT SUM(tp), SUM(fn) FROM defect_confusion WHERE fold = 1 AND run_id = "
        f"(SELECT run_id FROM run WHERE {finals} AND kind = 'baseline' AND seed = 1)",
    )[0]
    assert f"({tp} of {tp + fn})" in app.title[0].value.replace("\\", "")


def test_the_threshold_recomputes_from_predictions(full_store: Path, open_page, ask, finals) -> None:
    app = open_page(full_store, "defects", defect="stem end rot", run="barlow_twins · rgb+nir (seed 0)")
    app.slider(key="threshold").set_value(0.3).run()
    assert app.session_state["decision"] == "My threshold"
    tp, fn = ask(
        full_store,
        "SELECT SUM(y_true = 1 AND score >= 0.3), SUM(y_true = 1 AND score < 0.3) FROM prediction "
        f"WHERE defect = 'stem-end-rot' AND run_id = (SELECT run_id FROM run WHERE {finals} "
        "AND method = 'barlow_twins' AND seed = 0)",
    )[0]
    assert f"finds {100 * tp / (tp + fn):.0f} of 100 fruit with stem end rot" in app.title[0].value


def test_agreement_stands_before_what_is_found(full_store: Path, open_page, written, ask, finals) -> None:
    app = open_page(full_store, "defects", run="barlow_twins · rgb+nir (seed 0)")
    rows = ask(
        full_store,
        "SELECT defect, value, ci_low, ci_high FROM metric JOIN run USING (run_id) WHERE metric = 'mcc' "
        f"AND fold IS NULL AND {finals} AND kind = 'finetune' AND method = 'barlow_twins' AND seed = 0",
    )
    said = written(app)
    assert len(rows) == 11
    for defect, *values in rows:
        before = "Agreement with the labels (MCC) is" if defect is None else "agreement"
        assert f"{before} {with_interval(*values)}" in said, defect


@pytest.mark.parametrize("view", ["Decisions", "Precision", "Calibration", "Cost"])
@pytest.mark.parametrize("dataset", ["synthetic-hass", "strawberry-crops"])
def test_every_view_draws_a_chart_for_each_defect(
    full_store: Path, view: str, dataset: str, open_page
) -> None:
    app = open_page(full_store, "defects", view=view, dataset=dataset)
    expected = {"synthetic-hass": 10, "strawberry-crops": 4 + (view == "Decisions")}[dataset]
    assert len(app.get("vega_lite_chart")) == expected


def test_filters_of_a_family_leave_the_others_out(full_store: Path, open_page, written) -> None:
    app = open_page(full_store, "defects", defect="External defects")
    assert len(app.get("vega_lite_chart")) == 5
    assert "external defects" in app.title[0].value and "body rot" not in written(app)


def test_two_runs_stand_side_by_side_with_their_difference(full_store: Path, open_page, written) -> None:
    app = open_page(
        full_store, "defects", defect="Internal defects", against="baseline · resnet18 · rgb+nir (seed 0)"
    )
    assert len(app.get("vega_lite_chart")) == 15
    assert "Difference" in written(app)


def test_a_chosen_cell_shows_its_fruit(full_store: Path, open_page, written, ask, cards, finals) -> None:
    app = open_page(full_store, "defects", cell="bruising: missed", run="barlow_twins · rgb+nir (seed 0)")
    missed = ask(
        full_store,
        "SELECT fruit_id FROM prediction WHERE defect = 'bruising' AND y_true = 1 AND y_pred = 0 "
        f"AND run_id = (SELECT run_id FROM run WHERE {finals} AND method = 'barlow_twins' AND seed = 0) "
        "ORDER BY score",
    )
    cards = cards(app)
    assert f"{len(missed)} fruit, the most confident decision first" in written(app)
    places = [cards.index(f"<h3>{name}</h3>") for (name,) in missed[:6]]
    assert places == sorted(places)
    assert cards.count("data:image/webp;base64,") == min(6, len(missed))


def test_heat_maps_lie_over_the_fruit_of_a_cell(full_store: Path, open_page, cards, written) -> None:
    app = open_page(full_store, "defects", cell="bruising: found", run="barlow_twins · rgb+nir (seed 0)")
    plain = re.findall("data:image/webp;base64,[^']+", cards(app))
    app.toggle(key="card-heat").set_value(True).run()
    warm = re.findall("data:image/webp;base64,[^']+", cards(app))
    assert len(warm) == len(plain) and sum(a != b for a, b in zip(plain, warm, strict=True)) > 0
    assert "Heat: bruising" in cards(app)
    app.slider(key="heat-opacity").set_value(0.0).run()
    assert re.findall("data:image/webp;base64,[^']+", cards(app)) != warm
    assert all(len(base64.b64decode(picture.partition(",")[2])) <= 20_000 for picture in warm)


def test_a_card_links_to_the_fruit_most_like_it(full_store: Path, open_page, cards, ask, finals) -> None:
    app = open_page(
        full_store,
        "defects",
        cell="bruising: missed",
        run="barlow_twins · rgb+nir (seed 0)",
        defect="bruising",
    )
    first = re.findall("<h3>([^<]+)</h3>", cards(app))[0]
    near = ask(
        full_store,
        "SELECT neighbour_id FROM neighbour WHERE fruit_id = ? AND rank <= 3 AND run_id = (SELECT run_id "
        f"FROM run WHERE {finals} AND kind = 'finetune' AND method = 'barlow_twins' AND seed = 0)"
        " ORDER BY rank",
        first,
    )
    article = cards(app).split("</article>")[0]
    links = re.findall("<a href='([^']+)'>([^<]+)</a>", article)
    assert [words for _, words in links] == ["Among all fruit", *(name for (name,) in near)]
    target = parse_qs(urlparse(unescape(links[0][0])).query)
    assert target["fruit"] == [first] and target["defect"] == ["bruising"]
    assert first in cards(open_page(full_store, "space", fruit=first))


def test_classes_that_were_confused_show_their_fruit(full_store: Path, open_page, written, cards) -> None:
    app = open_page(full_store, "defects", dataset="strawberry-crops", cell="unripe taken for anomalous")
    assert "<h3>berry-" in cards(app) and "data:image" not in cards(app)
    assert "pictures are not at" in written(app)


def test_runs_that_must_not_be_compared_are_not(changed, open_page, finals) -> None:
    store = changed(f"UPDATE run SET transductive = 1 WHERE {finals} AND method = 'simclr'")
    app = open_page(store, "defects", against="simclr · rgb+nir (seed 0)")
    assert "saw the test fruit" in app.warning[0].value and len(app.get("vega_lite_chart")) == 10


def test_hostile_groups_and_paths_are_only_text(changed, open_page, cards) -> None:
    attack = "<img src=x onerror='alert(1)'>"
    store = changed(
        'UPDATE fruit SET fruit_group = ?, images = \'{"rgb": {"1": "../../etc/passwd"}}\'', attack
    )
    cards = cards(open_page(store, "defects", cell="bruising: missed"))
    assert attack not in cards and "&lt;img src=x onerror=&#x27;alert(1)&#x27;&gt;" in cards


@pytest.mark.parametrize(
    "address",
    [
        {"study": "no such study"},
        {"defect": "nothing"},
        {"run": "x"},
        {"threshold": "abc"},
        {"cell": "x: y"},
        {"fold": "Fold 99"},
    ],
)
def test_a_wrong_address_falls_back(full_store: Path, address: dict[str, str], open_page) -> None:
    app = open_page(full_store, "defects", **address)
    assert len(app.get("vega_lite_chart")) == 10

"""The five questions of a manager, each answered within three clicks of the opening page.

The user guide shows the same paths; a test holds it to these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sample_window import choose, press, settle

MOST_CLICKS = 3
GUIDE = Path(__file__).parents[2] / "docs" / "user-guide.md"
QUESTIONS = (
    "Is pretraining worth it, and for which defect?",
    "How many labels do we still need?",
    "Can we drop a sensor?",
    "Where does the model look, and can I trust it?",
    "What will it cost or save per 1,000 fruit?",
)
RUN = "study_id = 'study-overnight' AND purpose = 'final' AND seed = 0"
BARLOW = f"(SELECT run_id FROM run WHERE {RUN} AND kind = 'finetune' AND method = 'barlow_twins')"
BASELINE = f"(SELECT run_id FROM run WHERE {RUN} AND kind = 'baseline')"


class Reader:
    """Somebody with a mouse, whose clicks are counted."""

    def __init__(self, page: Page) -> None:
        self.page, self.clicks = page, 0

    def turn_to(self, title: str) -> None:
        """Click a page in the navigation."""
        link = self.page.get_by_role("link", name=title, exact=True)
        press(self.page, link)
        self.clicks += 1
        expect(link).to_have_attribute("aria-current", "page")
        settle(self.page)

    def choose(self, label: str, option: str) -> None:
        """Open a select box and click an option: two clicks."""
        choose(self.page, label, option)
        self.clicks += 2

    def reads(self, pattern: str) -> None:
        """The headline or the words under it say it, within the clicks that are allowed."""
        expect(self.page.locator("[data-testid=stMain]")).to_contain_text(re.compile(pattern))
        assert self.clicks <= MOST_CLICKS


@pytest.fixture
def reader(visit: Callable[..., Page]) -> Reader:
    return Reader(visit())


def test_is_pretraining_worth_it_and_for_which_defect(reader: Reader, ask) -> None:
    overall, rot = (
        ask(
            "SELECT delta FROM comparison JOIN run ON run_id = run_id_b"
            " WHERE family LIKE 'pretraining%' AND seed = 0 AND comparison.metric = ?"
            " AND defect IS ? LIMIT 1",
            *about,
        )[0][0]
        for about in (("recall", None), ("mcc", "body-rot"))
    )
    reader.reads(f"Barlow Twins finds {100 * overall:.0f} more of 100 defects")
    reader.choose("Defect", "body rot")
    reader.reads(f"raises the agreement with the labels on body rot by {rot:.2f}")


def test_how_many_labels_do_we_still_need(reader: Reader) -> None:
    reader.turn_to("Methods")
    reaches = "is as good as training from|reaches at least what"
    reader.reads(rf"on \d+ % of the labels ({reaches}) labels alone (reach )?on \d+ %")


def test_can_we_drop_a_sensor(reader: Reader) -> None:
    reader.turn_to("Sensors")
    reader.reads("could be dropped|should be dropped|Every sensor that was tested is needed|Without .* fewer")
    reader.choose("Sensor to drop", "RGB")
    reader.reads(r"Without RGB, errors cost [\d,.]+ (more|less) per 1,000 fruit")


def test_where_does_the_model_look_and_can_i_trust_it(reader: Reader, ask) -> None:
    share = ask(
        f"SELECT AVG(value) FROM metric WHERE run_id = {BARLOW} AND metric = 'localisation_pointing'"
        " AND defect IS NOT NULL AND fold IS NULL"
    )[0][0]
    reader.turn_to("Where it looks")
    reader.reads(f"looks at the defect itself in {100 * share:.0f} of 100 cases")
    assert reader.page.locator(".card img").count()


def test_what_will_it_cost_or_save(reader: Reader, ask) -> None:
    spec = json.loads(ask("SELECT spec FROM dataset WHERE name = 'synthetic-hass'")[0][0])
    prices = {one["name"]: (one["cost_miss"], one["cost_false_alarm"]) for one in spec["defects"]}

    def cost(run: str) -> tuple[float, float]:
        rows = ask(
            f"SELECT defect, fn, fp, tp + fp + fn + tn FROM defect_confusion WHERE run_id = {run}"
            " AND fold IS NULL"
        )
        misses = sum(1000 * fn * prices[name][0] / n for name, fn, _, n in rows)
        return misses, sum(1000 * fp * prices[name][1] / n for name, _, fp, n in rows)

    (misses, alarms), theirs = cost(BARLOW), sum(cost(BASELINE))
    reader.turn_to("Defects")
    reader.reads(f"Misses cost {misses:,.0f} and false alarms {alarms:,.0f} per 1,000 fruit")
    change = misses + alarms - theirs
    reader.reads(f"{abs(change):,.0f} {'less' if change < 0 else 'more'} than with the baseline")


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_user_guide_shows_the_path(question: str) -> None:
    assert question in GUIDE.read_text(encoding="utf-8")

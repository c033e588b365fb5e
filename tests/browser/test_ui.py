"""What a user sees in the Dagster UI after `make run TASK=rte`."""

import re

from targen.steps import STEPS
from targen.tasks.loading import load_task_names
from tests.support.specs import TASKS

WAIT_MS = 60_000


def opened(browser, address, width=1500, height=900):
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(WAIT_MS)
    page.goto(address)
    return page


def test_the_lineage_shows_the_seven_assets(server, browser, pictures):
    page = opened(browser, f"{server}/asset-groups", 3100, 1000)
    for step in STEPS:
        page.get_by_text(step, exact=True).locator("visible=true").first.wait_for()
    page.get_by_text("Hide navigation").click()
    page.wait_for_timeout(1500)
    # Without the panels: only from this width on are the boxes drawn with what is in them.
    graph = {"x": 372, "y": 110, "width": 2580, "height": 880}
    picture = page.screenshot(path=pictures / "lineage.png", clip=graph)
    assert len(picture) > 20_000
    page.close()


def test_the_runs_of_the_shell_are_there(server, browser):
    page = opened(browser, f"{server}/runs")
    page.get_by_text("Success").first.wait_for()
    text = page.inner_text("body")
    assert "dataset" in text
    assert "rte" in text
    page.close()


def test_every_task_is_a_partition(server, browser):
    page = opened(browser, f"{server}/assets/corrected_set?view=partitions&partition=rte")
    page.get_by_text("Materialized (1)").wait_for()
    text = page.inner_text("body")
    names = load_task_names(TASKS)
    assert len(names) >= 9
    assert f"{len(names)} Partitions Selected" in text
    page.close()


def test_the_metadata_says_what_was_made_and_shows_a_sample(server, browser):
    page = opened(browser, f"{server}/assets/corrected_set?view=partitions&partition=rte")
    page.get_by_text("step_digest").first.wait_for()
    text = page.inner_text("body")
    keys = ("row_count", "rejected_by_reason", "calls", "found_in_store", "cost_usd", "seconds")
    for key in keys:
        assert key in text
    page.get_by_text("[Show Markdown]").first.click()
    page.locator("table", has_text="hypothesis").first.wait_for()
    assert "entailment" in page.inner_text("body")
    page.close()


def test_the_checks_stand_beside_the_asset_and_passed(server, browser):
    page = opened(browser, f"{server}/assets/instances?view=checks")
    page.get_by_text("Checks (3)").wait_for()
    page.get_by_text("This is a blocking asset check.").wait_for()
    text = page.inner_text("body")
    assert "contract" in text
    assert "expectations" in text
    assert "statistics" in text
    assert "Succeeded" in text
    page.close()


def test_the_report_runs_nothing_and_fetches_nothing(made, browser, pictures):
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    path = f"{made['TARGEN_DATA_DIR']}/quality_report/rte.html"
    page.goto(f"file://{path}")
    page.screenshot(path=pictures / "report.png")
    text = page.inner_text("body")
    assert re.search(r"simulator; not training data", text, re.IGNORECASE)
    assert asked == [f"file://{path}"]
    assert page.locator("script").count() == 0
    page.close()

"""What a user sees in the Dagster UI after `make run TASK=rte`."""

import re

from assets.step import GROUPS
from targen.steps import STEPS
from targen.tasks.loading import load_task_names
from tests.browser.conftest import STRICT
from tests.support.specs import TASKS

WAIT_MS = 60_000


def opened(browser, address, width=1500, height=900, scale=1):
    size = {"width": width, "height": height}
    page = browser.new_page(viewport=size, device_scale_factor=scale)
    page.set_default_timeout(WAIT_MS)
    page.goto(address)
    return page


def test_the_lineage_shows_the_seven_assets(server, browser, pictures):
    # From a larger width on, Dagster draws boxes with details, whose text is too small for a page.
    page = opened(browser, f"{server}/asset-groups", 1700, 900, scale=1.5)
    for group in sorted({*GROUPS.values()}):
        page.get_by_text(group, exact=True).locator("visible=true").first.wait_for()
    page.wait_for_timeout(1500)
    # Expands all groups. The graph fits the page only after it is loaded again.
    page.keyboard.press("Alt+e")
    page.get_by_text(STEPS[-1], exact=True).locator("visible=true").first.wait_for()
    page.get_by_text("Hide navigation").click()
    page.reload()
    for step in STEPS:
        page.get_by_text(step, exact=True).locator("visible=true").first.wait_for()
    page.wait_for_timeout(1500)
    graph = {"x": 400, "y": 150, "width": 1256, "height": 670}
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
    names = [*load_task_names(TASKS), STRICT]
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


def test_a_click_on_the_link_opens_the_report(server, browser):
    page = opened(browser, f"{server}/assets/quality_report?view=partitions&partition=rte")
    page.get_by_text("label_noise_high").first.wait_for()
    text = page.inner_text("body")
    # What people look for comes first, and hashes last.
    order = [text.index(name) for name in ("verdict", "failed_gates", "kappa", "step_digest")]
    assert order == sorted(order)
    for key in ("quality_report/rte.html", "expectations/rte/index.html"):
        with page.expect_popup() as popup:
            page.locator(f"a[href$='{key}']").first.click()
        report = popup.value
        report.wait_for_load_state()
        assert report.url == f"{server}/targen/{key}"
        assert "Recognizing Textual Entailment" in report.inner_text("body")
        assert report.locator("script").count() == 0
        report.close()
    page.close()


def test_a_click_on_the_link_opens_the_targets(server, browser):
    page = opened(browser, f"{server}/assets/targets?view=partitions&partition=rte")
    with page.expect_popup() as popup:
        page.locator("a[href$='targets/rte.html']").first.click()
    targets = popup.value
    targets.wait_for_load_state()
    assert targets.url == f"{server}/targen/targets/rte.html"
    assert "Gaps that the quality report shows" in targets.inner_text("body")
    targets.get_by_role("link", name="quality report").click()
    assert targets.url == f"{server}/targen/quality_report/rte.html"
    page.close()


def test_a_click_on_a_row_opens_its_audit(server, browser):
    page = opened(browser, f"{server}/assets/corrected_set?view=partitions&partition=rte")
    page.get_by_text("[Show Markdown]").first.click()
    link = page.get_by_role("link", name="audit", exact=True).first
    address = link.get_attribute("href")
    assert re.fullmatch(r"/targen/audit/[0-9a-f]{16}", address)
    page.goto(f"{server}{address}")
    assert address.rsplit("/", 1)[1] in page.inner_text("body")
    assert "Verified" in page.inner_text("body")
    page.close()


def test_plots_show_label_noise_over_three_reports(server, grown, browser, pictures):
    query = """{assetOrError(assetKey: {path: ["quality_report"]}) {... on Asset {
      assetMaterializations(partitions: ["rte"]) {metadataEntries {
        label ... on FloatMetadataEntry {floatValue}}}}}}"""
    page = opened(browser, f"{server}/assets/quality_report?view=overview")
    reply = page.request.post(f"{server}/graphql", data={"query": query}).json()
    events = reply["data"]["assetOrError"]["assetMaterializations"]
    shares = [
        entry["floatValue"]
        for event in events
        for entry in event["metadataEntries"]
        if entry["label"] == "label_noise"
    ]
    assert len(shares) == 3 and all(0 <= share <= 1 for share in shares)
    page.get_by_role("button", name="Plots").click()
    page.get_by_role("button", name="Events").click()
    heading = page.get_by_text("label_noise", exact=True).first
    heading.scroll_into_view_if_needed()
    page.wait_for_timeout(1500)
    assert page.locator("canvas").count() >= 12
    page.screenshot(path=pictures / "plots.png")
    page.close()


def test_a_failed_gate_is_red_and_named_at_the_end_of_the_run(server, refused, browser, pictures):
    assert "gate_rows failed: Rows: 32; required: at least 999." in refused.splitlines()[-1]
    page = opened(browser, f"{server}/assets/quality_report?view=checks")
    page.get_by_text("gate_rows", exact=True).first.click()
    page.get_by_text("Rows: 32; required: at least 999.").first.wait_for()
    page.screenshot(path=pictures / "checks.png")
    colors = [
        list(map(int, re.findall(r"\d+", one.evaluate("it => getComputedStyle(it).color"))[:3]))
        for one in page.get_by_text("Failed", exact=True).all()
    ]
    assert any(red > green + 60 and red > blue + 60 for red, green, blue in colors), colors
    page.close()

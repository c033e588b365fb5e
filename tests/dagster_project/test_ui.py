"""The UI as a user meets it, in headless Chromium; the README's pictures are taken here.

With TARGEN_PICTURES=folder the nine tasks of the demonstration are made first, and the pictures
go to that folder; else one small task is enough, and they go to a temporary one.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_project import home
from dagster_project.run import DEMO_TASKS
from targen.tables import STEPS

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
PICTURES = os.environ.get("TARGEN_PICTURES")
PATIENCE_MS = 60_000
SETTLE_MS = 1_500
WINDOW = {"width": 1400, "height": 800}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ui")


@pytest.fixture(scope="module")
def pictures(work: Path) -> Path:
    folder = Path(PICTURES).absolute() if PICTURES else work / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def environment(work: Path) -> dict[str, str]:
    """Return an environment in which one run has been made, or the whole demonstration."""
    ours = ("TARGEN_", "OPENAI_", "DAGSTER_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    chosen = {"DAGSTER_HOME": str(work / "home"), "TARGEN_DATA_DIR": str(work / "data")}
    environment = {**clean, **chosen, "TARGEN_ROWS": "100" if PICTURES else "6"}
    command = [sys.executable, "-m", "dagster_project.run", "--demo" if PICTURES else "rte"]
    subprocess.run(command, cwd=home.ROOT, env=environment, check=True, capture_output=True)
    return environment


@pytest.fixture(scope="module")
def address(environment: dict[str, str], work: Path) -> Iterator[str]:
    """Serve the UI as `make ui` does; stop it as Ctrl-C does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with (work / "ui.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "dagster_project.ui", str(port)],
            cwd=home.ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(f"{address}/server_info", server)
            yield address
        finally:
            server.send_signal(signal.SIGINT)
            try:
                server.wait(timeout=60)
            except subprocess.TimeoutExpired:
                server.kill()
                raise


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        assert server.poll() is None, "the UI ended by itself"
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the UI did not answer within two minutes")


@pytest.fixture(scope="module")
def page(address: str) -> Iterator["sync_api.Page"]:
    with sync_api.sync_playwright() as playwright:
        # Chromium refuses its own sandbox to root, and CI runs as root.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=WINDOW, base_url=address)
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


def test_the_lineage_shows_the_seven_assets(page: "sync_api.Page", pictures: Path) -> None:
    # Wide enough for the graph to show more than names.
    page.set_viewport_size({"width": 2600, "height": 1100})
    page.goto("/asset-groups")
    for step in STEPS:
        page.get_by_text(step, exact=True).first.wait_for()
    page.get_by_text("Hide navigation").click()
    page.reload()
    page.get_by_text("9 partitions").first.wait_for()
    assert page.get_by_text("9 partitions").count() == len(STEPS)
    page.wait_for_timeout(SETTLE_MS)
    graph = {"x": 380, "y": 200, "width": 2180, "height": 760}
    page.screenshot(path=pictures / "lineage.png", clip=graph)
    page.set_viewport_size(WINDOW)


def test_an_asset_has_nine_partitions_with_metadata_and_a_sample(
    page: "sync_api.Page", pictures: Path
) -> None:
    page.goto("/assets/corrected_set?view=partitions&partition=rte")
    for task in DEMO_TASKS:
        page.get_by_text(task, exact=True).first.wait_for()
    for key in ("step_digest", "data_version", "calls", "cost_usd", "rejected_by_reason"):
        page.get_by_text(key, exact=True).first.wait_for()
    page.get_by_text("[Show Markdown]").first.click()
    page.get_by_role("columnheader", name="premise").wait_for()
    assert page.get_by_role("row").count() >= 5
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=pictures / "sample.png")


def test_an_asset_has_its_two_checks(page: "sync_api.Page") -> None:
    page.goto("/assets/corrected_set?view=checks")
    page.get_by_text("statistics", exact=True).first.wait_for()
    page.get_by_text("This is a blocking asset check.").wait_for()


def test_the_runs_of_the_shell_are_there(page: "sync_api.Page") -> None:
    page.goto("/runs")
    page.get_by_text("dataset", exact=True).first.wait_for()
    page.get_by_text("Success", exact=True).first.wait_for()


def test_the_report_is_a_page(page: "sync_api.Page", work: Path, pictures: Path) -> None:
    page.goto((work / "data/quality_report/rte.html").as_uri())
    page.get_by_text("made by the embedded demonstration model", exact=False).first.wait_for()
    page.screenshot(path=pictures / "report.png")

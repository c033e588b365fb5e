"""Two hundred partitions, eight runs at once, one limit, one budget.

`python -m tests.services.many [COUNT [SECONDS]]` prints JSON: how the backfill ended, what the
model counted and refused, what was spent of the budget, and how long the page of the partitions
takes to open in Chromium. Takes about 15 minutes on two free cores.
"""

import json
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from targen.steps import STEPS
from tests.browser.conftest import CHROMIUM, QUIET
from tests.services import graphql
from tests.services.stack import Stack, stop_in_order, wait_for
from tests.support.specs import ROOT

CALLS_PER_S = 60
BUDGET_USD = 50.0
PRICES = """\
date: 2026-01-01
models:
- {model: targen-embedded, prompt: 1.0, completion: 4.0}
"""


def tasks(folder: Path, count: int) -> list[str]:
    """Write tasks that differ by their edition, so that none finds another's answers."""
    folder.mkdir()
    names = [f"mood{number:03d}" for number in range(count)]
    for number, name in enumerate(names):
        text = _TASK.format(name=name, edition=number)
        (folder / f"{name}.yaml").write_text(text)
    return names


_TASK = """\
name: {name}
title: Mood
description: A short note and the mood of the person who wrote it.
edition: {edition}
rows: 4
fields:
  note: {{description: the note}}
answer:
  kind: class
  question: What mood is the writer in?
  labels:
    glad: {{constraint: The writer is glad., definition: A glad writer.}}
    sad: {{constraint: The writer is sad., definition: A sad writer.}}
contexts:
  what: places
seeds:
  kind: sentence
  what: An event at the place.
  fields:
    event: {{description: the event}}
"""


def main() -> int:
    """Run, print the figures, return the exit status."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    most_s = float(sys.argv[2]) if len(sys.argv) > 2 else 3000.0
    stop_in_order()
    folder = Path(tempfile.mkdtemp(prefix="targen-many-"))
    folder.chmod(0o755)
    names = tasks(folder / "tasks", count)
    (folder / "prices.yaml").write_text(PRICES)
    settings = {
        "TARGEN_TASKS_DIR": str(folder / "tasks"),
        "TARGEN_DATA_DIR": str(folder / "data"),
        "TARGEN_PRICES": str(folder / "prices.yaml"),
        "TARGEN_BUDGET_USD": str(BUDGET_USD),
        "TARGEN_CONCURRENCY": "16",
        # Two seconds of every run, for suites that the test of the checks runs.
        "TARGEN_EXPECTATIONS": "off",
    }
    stack = Stack(folder, settings)
    status = 1
    figures: dict[str, Any] = {"partitions": count, "limit_calls_per_s": CALLS_PER_S}
    try:
        stack.start_postgres()
        stack.start_redis()
        stack.start_s3()
        model = stack.start_model(str(CALLS_PER_S))
        text = (ROOT / "deploy" / "production" / "dagster.yaml").read_text()
        address = stack.start_dagster(text)
        stack.start_worker("eight", processes=8)
        began = time.monotonic()
        backfill = graphql.backfill(address, STEPS, names)

        def ended() -> str | None:
            found = graphql.status(address, backfill)
            time.sleep(2)
            return found if found.startswith(("COMPLETED", "FAIL", "CANCEL")) else None

        try:
            figures["ended"] = wait_for("the backfill", ended, most_s)
        except TimeoutError as error:
            # What has been made by then is counted all the same.
            figures["ended"] = str(error)
        figures["seconds"] = round(time.monotonic() - began, 1)
        found = graphql.runs(address, backfill)
        figures["runs"] = dict(graphql.counts(found))
        lost = {
            run["tags"]["dagster/partition"]: run for run in found if run["status"] == "FAILURE"
        }
        figures["failures"] = {
            name: graphql.failures(address, run["runId"]) for name, run in lost.items()
        }
        figures["at_once"] = _most_at_once(found)
        figures |= _money(stack, model)
        figures["partition_page_s"] = _page(address, figures["runs"].get("SUCCESS", 0))
        good = figures["runs"] == {"SUCCESS": count} and figures["paid_twice"] == 0
        status = 0 if good and figures["spent_usd"] <= BUDGET_USD else 1
    except (TimeoutError, RuntimeError) as error:
        figures["error"] = f"{type(error).__name__}: {error}"
        for log in sorted(folder.glob("*.log")):
            sys.stderr.write(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}\n")
    finally:
        stack.stop()
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return status


def _most_at_once(runs: list[dict[str, Any]]) -> int:
    over = [run for run in runs if run["startTime"] and run["endTime"]]
    changes = [(run["startTime"], 1) for run in over] + [(run["endTime"], -1) for run in over]
    now = most = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def _money(stack: Stack, model: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{model}/asked", timeout=10) as answer:
        asked = json.load(answer)
    store = sa.create_engine(stack.environment["TARGEN_STORE_URL"])
    with store.connect() as connection:
        spent, cost, stored = (
            connection.exec_driver_sql(query).scalar_one()
            for query in (
                "SELECT spent_usd FROM budgets WHERE scope = '*'",
                "SELECT sum(cost_usd) FROM completions",
                "SELECT count(*) FROM completions",
            )
        )
        twice = connection.exec_driver_sql(
            "SELECT count(*) FROM (SELECT request_id FROM uses WHERE paid GROUP BY request_id "
            "HAVING count(*) > 1) AS doubled"
        ).scalar_one()
    store.dispose()
    return {
        "calls": asked["calls"],
        "refused": asked["refused"],
        "completions_stored": stored,
        "paid_twice": twice,
        "budget_usd": BUDGET_USD,
        "spent_usd": round(spent, 4),
        "cost_of_completions_usd": round(cost, 4),
    }


def _page(address: str, count: int) -> list[float]:
    """Return the seconds until the page of the partitions shows how many are made, thrice."""
    from playwright.sync_api import sync_playwright

    seconds = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        for _ in range(3):
            page = browser.new_page()
            started = time.monotonic()
            page.goto(f"{address}/assets/corrected_set?view=partitions")
            page.get_by_text(f"Materialized ({count})").first.wait_for(timeout=60_000)
            seconds.append(round(time.monotonic() - started, 2))
            page.close()
        browser.close()
    return seconds


if __name__ == "__main__":
    sys.exit(main())

"""A snapshot of all definitions, so that a change of lineage shows up in review.

`make snapshot` writes it anew.
"""

import json
import os
from typing import Any

from dagster import Definitions

from dagster_project.definitions import build_defs
from tests.support.specs import ROOT

SNAPSHOT = ROOT / "tests/dagster_project/definitions.json"


def described(built: Definitions) -> dict[str, Any]:
    graph, repository = built.resolve_asset_graph(), built.get_repository_def()
    keys = sorted(graph.get_all_asset_keys())
    specs = {key.path[-1]: graph.get(key) for key in keys}
    checks = {
        f"{key.asset_key.path[-1]}.{key.name}": graph.get(key) for key in graph.asset_check_keys
    }
    return {
        "assets": {
            name: {
                "deps": sorted(parent.path[-1] for parent in node.parent_keys),
                "group": node.group_name,
                "kinds": sorted(node.kinds),
                "owners": sorted(node.owners),
                "code_version": node.code_version,
                "partitioned": node.partitions_def is not None,
                "automated": node.automation_condition is not None,
            }
            for name, node in specs.items()
        },
        "checks": {name: {"blocking": node.blocking} for name, node in sorted(checks.items())},
        "jobs": {
            job.name: sorted(key.path[-1] for key in job.asset_layer.selected_asset_keys)
            for job in sorted(repository.get_all_jobs(), key=lambda job: job.name)
            if not job.name.startswith("__")
        },
        "schedules": {s.name: s.cron_schedule for s in repository.schedule_defs},
        "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
    }


def test_the_definitions_are_those_of_the_snapshot() -> None:
    text = json.dumps(described(build_defs()), indent=2) + "\n"
    if os.environ.get("TARGEN_SNAPSHOT"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8"), "see what changed; then `make snapshot`"

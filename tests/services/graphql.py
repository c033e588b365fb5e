"""What a person does in Dagster's UI, through the same GraphQL interface."""

import json
import urllib.request
from collections import Counter
from collections.abc import Sequence
from typing import Any

_BACKFILL = """
mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
_RUNS = """
query($filter: RunsFilter!) {
  runsOrError(filter: $filter, limit: 2000) {
    ... on Runs { results {
      runId status startTime endTime tags { key value }
      assetMaterializations { assetKey { path } }
    } }
  }
}
"""
_FAILURES = """
query($id: ID!) {
  runOrError(runId: $id) { ... on Run { eventConnection { events {
    __typename
    ... on ExecutionStepFailureEvent { stepKey error { message } failureMetadata { description } }
    ... on RunFailureEvent { message error { message } }
  } } } }
}
"""
_STATUS = """
query($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
}
"""


def ask(address: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Return the data of an answer.

    Raises:
        RuntimeError: the server names an error.
    """
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(
        f"{address}/graphql", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found = json.load(answer)
    if found.get("errors"):
        raise RuntimeError(str(found["errors"])[:1000])
    return dict(found["data"])


def backfill(address: str, assets: Sequence[str], partitions: Sequence[str]) -> str:
    """Start a backfill of `assets` over `partitions`; return its id."""
    params = {
        "assetSelection": [{"path": [name]} for name in assets],
        "partitionNames": list(partitions),
    }
    found = ask(address, _BACKFILL, {"params": params})["launchPartitionBackfill"]
    if "backfillId" not in found:
        raise RuntimeError(str(found))
    return str(found["backfillId"])


def status(address: str, backfill_id: str) -> str:
    """Return a backfill's status."""
    found = ask(address, _STATUS, {"id": backfill_id})["partitionBackfillOrError"]
    return str(found["status"])


def runs(address: str, backfill_id: str) -> list[dict[str, Any]]:
    """Return all runs of a backfill, newest first; their tags as a dictionary."""
    tags = [{"key": "dagster/backfill", "value": backfill_id}]
    found = ask(address, _RUNS, {"filter": {"tags": tags}})["runsOrError"]["results"]
    return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]


def failures(address: str, run_id: str) -> list[dict[str, Any]]:
    """Return what a run's log says of why it failed."""
    log = ask(address, _FAILURES, {"id": run_id})["runOrError"]["eventConnection"]["events"]
    return [event for event in log if len(event) > 1]


def counts(found: Sequence[dict[str, Any]]) -> Counter[str]:
    """Return how many runs have each status."""
    return Counter(run["status"] for run in found)

"""What `make run`, `demo`, `compare` and `release` print at the end: a table, and the gates."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from targen.quality.gates import outcome, tally
from targen.steps import CORRECTED_SET
from targen.tables.files import Tables

COLUMNS = (
    "task",
    "rows",
    "labels",
    "flipped",
    "dropped",
    "calls",
    "tokens",
    "cost",
    "seconds",
)
_MANY = 6

_TOKENS = ("prompt_tokens", "completion_tokens", "embedding_tokens")


def row(
    task: str, metadata: Mapping[str, Mapping[str, Any]], tables: Tables, seconds: float
) -> dict[str, str]:
    """Return one line: the rows of the corrected set, and the calls of this run."""
    stored = tables.read(CORRECTED_SET, task)
    table = stored.table
    steps = list(metadata.values())
    return {
        "task": task,
        "rows": str(table.height),
        "labels": balance(table["label"].to_list()),
        "flipped": str((table["verdict"] == "relabelled").sum()),
        "dropped": str(metadata[CORRECTED_SET]["rejected_by_reason"].get("dropped", 0)),
        "calls": str(sum(step.get("calls", 0) for step in steps)),
        "tokens": total([step[name] for step in steps for name in _TOKENS if name in step])
        + _cached(steps),
        "cost": "simulated"
        if simulated(metadata)
        else cost([step["cost_usd"] for step in steps if "cost_usd" in step]),
        "seconds": f"{seconds:.1f}",
    }


def gates(task: str, report: Mapping[str, Any], brief: bool = False) -> list[str]:
    """Return the lines about the gates of a task: how many passed, then one line for each."""
    judged = report["gates"]
    rows = " (simulated rows)" if report["simulated"] else ""
    lines = [f"Gates of {task}{rows}: {tally(judged)}"]
    for gate in judged:
        if not (brief and outcome(gate) == "passed"):
            lines.append(f"  {outcome(gate):<6}  {gate['metric']}: {gate['text']}")
    return lines


def simulated(metadata: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether the simulator answered any request."""
    return any(step.get("simulated") is True for step in metadata.values())


def balance(labels: Sequence[Any]) -> str:
    """Return the rows of each label, or the number of labels if there are many."""
    counts = Counter(str(label) for label in labels if label is not None)
    if not counts:
        return "-"
    if len(counts) > _MANY:
        return f"{len(counts)} different"
    return " ".join(f"{label}:{counts[label]}" for label in sorted(counts))


def total(counts: Sequence[int | str]) -> str:
    """Return the sum, or `unknown` if a count is unknown."""
    known = [count for count in counts if not isinstance(count, str)]
    return str(sum(known)) if len(known) == len(counts) else "unknown"


def _cached(steps: Sequence[Mapping[str, Any]]) -> str:
    """Return how many of the tokens came from a prompt cache, '' if none did."""
    cached = sum(step.get("cached_tokens", 0) for step in steps)
    return f" ({cached} cached)" if cached else ""


def cost(amounts: Sequence[float | str]) -> str:
    """Return the sum in US dollars, or `unknown` if an amount is unknown."""
    known = [amount for amount in amounts if not isinstance(amount, str)]
    return f"${sum(known):.4f}" if len(known) == len(amounts) else "unknown"


def aligned(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the rows as aligned columns with headings."""
    widths = {name: max(len(name), *(len(line[name]) for line in rows)) for name in COLUMNS}
    left = {"task", "labels"}

    def render(cells: Mapping[str, str]) -> str:
        return "  ".join(
            cells[name].ljust(widths[name]) if name in left else cells[name].rjust(widths[name])
            for name in COLUMNS
        ).rstrip()

    return "\n".join(render(line) for line in [{name: name for name in COLUMNS}, *rows])

"""The table at the end of `make run` and `make demo`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

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
    """Return one line: the corrected set's rows, and what this run itself did for them.

    Args:
        task: the task's name.
        metadata: asset -> the metadata of its materialization in this run.
        tables: where the finished table lies.
        seconds: wall time of the run.
    """
    stored = tables.read("corrected_set", task)
    table = stored.table
    steps = list(metadata.values())
    return {
        "task": task,
        "rows": str(table.height),
        "labels": balance(table["label"].to_list()),
        "flipped": str((table["verdict"] == "relabelled").sum()),
        "dropped": str(metadata["corrected_set"]["rejected_by_reason"].get("dropped", 0)),
        "calls": str(sum(step.get("calls", 0) for step in steps)),
        "tokens": total([step[name] for step in steps for name in _TOKENS if name in step]),
        "cost": "simulated"
        if simulated(metadata)
        else cost([step["cost_usd"] for step in steps if "cost_usd" in step]),
        "seconds": f"{seconds:.1f}",
    }


def simulated(metadata: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether the embedded model made any of it."""
    return any(step.get("simulated") is True for step in metadata.values())


def balance(labels: Sequence[Any]) -> str:
    """Return how many rows each label has, or how many labels where there are many."""
    counts = Counter(str(label) for label in labels if label is not None)
    if not counts:
        return "-"
    if len(counts) > _MANY:
        return f"{len(counts)} different"
    return " ".join(f"{label}:{counts[label]}" for label in sorted(counts))


def total(counts: Sequence[int | str]) -> str:
    """Return the sum, or `unknown` where a part is."""
    known = [count for count in counts if not isinstance(count, str)]
    return str(sum(known)) if len(known) == len(counts) else "unknown"


def cost(amounts: Sequence[float | str]) -> str:
    """Return the sum in US dollars, or `unknown` where the price of a part is."""
    known = [amount for amount in amounts if not isinstance(amount, str)]
    return f"${sum(known):.4f}" if len(known) == len(amounts) else "unknown"


def aligned(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the rows under their headings, in columns."""
    widths = {name: max(len(name), *(len(line[name]) for line in rows)) for name in COLUMNS}
    left = {"task", "labels"}

    def render(cells: Mapping[str, str]) -> str:
        return "  ".join(
            cells[name].ljust(widths[name]) if name in left else cells[name].rjust(widths[name])
            for name in COLUMNS
        ).rstrip()

    return "\n".join(render(line) for line in [{name: name for name in COLUMNS}, *rows])

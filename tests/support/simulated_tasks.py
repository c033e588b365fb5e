"""Tasks for tests of the simulator, worded differently from the task files."""

from typing import Any

from tests.support.simulated import TEXT, Client, write_rows

Row = dict[str, Any]


def _task(title: str, **fields: Any) -> dict[str, Any]:
    return {"name": "copy", "title": title, "description": f"About {title}.", "fields": fields}


_RTE = _task("entailment", premise="some sentences", hypothesis="one more sentence")
_CB = _task(
    "commitment to an embedded clause", premise="a discourse", hypothesis="the clause itself"
)
_COPA = _task(
    "alternatives",
    premise="an event",
    choice1="one alternative",
    choice2="another alternative",
    question={"description": "what is asked for", "values": ["cause", "effect"]},
)
_BOOLQ = _task("yes or no", passage="an article", question="a question")
TICKETS: dict[str, Any] = _task(
    "Urgency of support tickets",
    subject="the subject line of the ticket, up to ten words",
    body="what the customer wrote, two to five sentences, in the customer's own voice",
)
URGENCY = {
    "low": "Nothing may be broken: the customer asks how something works or wishes for something.",
    "normal": "One thing does not work as it should, but the customer can go on working.",
    "high": "A team cannot do its work, or an error costs money; there is no way round it.",
    "critical": "Everything has stopped for everyone, or data is being lost. Every minute counts.",
}


def constraints(*labels: str) -> dict[str, str]:
    """Return labels with some constraint."""
    return {label: f"The row must be {label}." for label in labels}


OPERATORS = ("verb", "modal", "negation", "question")
TASKS: dict[str, dict[str, Any]] = {
    "rte": {
        "task": _RTE,
        "labels": constraints("entailment", "not_entailment"),
        "seed_fields": {"premise": TEXT},
    },
    "cb": {
        "task": _CB,
        "labels": constraints("entailment", "contradiction", "neutral"),
        "seed_fields": {"speaker": TEXT, "matter": TEXT},
        "typed": [{"operator": one} for one in OPERATORS],
    },
    "copa": {
        "task": _COPA,
        "labels": {
            "0": "choice1 is what most people would name, choice2 is not.",
            "1": "choice2 is what most people would name, choice1 is not.",
        },
        "seed_fields": {"premise": TEXT},
        "planned": [{"question": "cause"}, {"question": "effect"}],
    },
    "boolq": {
        "task": _BOOLQ,
        "labels": constraints("true", "false"),
        "seed_fields": {"passage": TEXT},
    },
    "tickets": {
        "task": TICKETS,
        "labels": URGENCY,
        "seed_fields": {"problem": TEXT, "effect": TEXT},
        "seed_kind": "tuple",
        "attributes": {
            "product": {"description": "the product or service"},
            "customer": {"description": "who the customer is"},
        },
    },
}


def rows_of(name: str, count: int, client: Client | None = None) -> list[Row]:
    """Return rows of a task of the table above."""
    return write_rows(client or Client(), count=count, **TASKS[name])


def public(row: Row) -> Row:
    """Return the fields of a row, without what the test knows of it."""
    return {name: value for name, value in row.items() if not name.startswith("_")}

"""The environment variables that settings start from."""

import os
from typing import Literal

from targen.errors import TargenError

DATA_DIR = "TARGEN_DATA_DIR"
TASKS_DIR = "TARGEN_TASKS_DIR"
RECIPES_DIR = "TARGEN_RECIPES_DIR"
REFERENCES_DIR = "TARGEN_REFERENCES_DIR"
ROWS = "TARGEN_ROWS"
EXPECTATIONS = "TARGEN_EXPECTATIONS"
MODEL = "TARGEN_MODEL"
EMBEDDING_MODEL = "TARGEN_EMBEDDING_MODEL"
MODE = "TARGEN_MODE"
STORE_URL = "TARGEN_STORE_URL"
CONCURRENCY = "TARGEN_CONCURRENCY"
BUDGET_USD = "TARGEN_BUDGET_USD"
ENDPOINT_NAME = "TARGEN_ENDPOINT_NAME"
NIGHTLY_CRON = "TARGEN_NIGHTLY_CRON"
NIGHTLY_TASKS = "TARGEN_NIGHTLY_TASKS"
NIGHTLY_TIMEZONE = "TARGEN_NIGHTLY_TIMEZONE"
FRESH_HOURS = "TARGEN_FRESH_HOURS"
ALERT_WEBHOOK = "TARGEN_ALERT_WEBHOOK"
ENDPOINTS_FILE = "TARGEN_ENDPOINTS_FILE"
RPM = "TARGEN_RPM"
TPM = "TARGEN_TPM"
API_KEY = "OPENAI_API_KEY"
API_KEY_SECRET = "TARGEN_API_KEY_SECRET"  # noqa: S105 - a name
BASE_URL = "OPENAI_BASE_URL"


def text(name: str, default: str) -> str:
    """Return the variable, or `default` where it is unset or empty."""
    return os.environ.get(name) or default


def optional(name: str) -> str | None:
    """Return the variable, or None where it is unset or empty."""
    return os.environ.get(name) or None


def mode() -> Literal["live", "batch"]:
    """Return how requests go out; `live` where the variable is unset.

    Raises:
        TargenError: it is something else.
    """
    given = text(MODE, "live")
    if given == "live":
        return "live"
    if given == "batch":
        return "batch"
    raise TargenError(f"{MODE} must be live or batch, not {given!r}.")


def whole(name: str, default: int) -> int:
    """Return the variable as a whole number of at least 1, or `default` where it is unset.

    Raises:
        TargenError: it is something else.
    """
    given = optional(name)
    if given is None:
        return default
    if not given.strip().isdecimal() or int(given) < 1:
        raise TargenError(f"{name} must be a whole number of at least 1, not {given!r}.")
    return int(given)


def amount(name: str) -> float | None:
    """Return the variable as a number that is not negative, or None where it is unset.

    Raises:
        TargenError: it is something else.
    """
    given = optional(name)
    if given is None:
        return None
    try:
        number = float(given)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise TargenError(f"{name} must be an amount such as 2.50, not {given!r}.")
    return number


def limit(name: str) -> int | None:
    """Return a limit, None where the variable is unset.

    Raises:
        TargenError: it is no whole number of at least 1.
    """
    return whole(name, 1) if optional(name) else None


def rows() -> int | None:
    """Return TARGEN_ROWS, which overrides every task's rows; None where it is unset.

    Raises:
        TargenError: it is no whole number of at least 1.
    """
    return limit(ROWS)


def expectations() -> bool:
    """Return whether Great Expectations looks at every table; `on` where it is unset.

    Raises:
        TargenError: it is neither `on` nor `off`.
    """
    given = text(EXPECTATIONS, "on")
    if given not in ("on", "off"):
        raise TargenError(f"{EXPECTATIONS} must be on or off, not {given!r}.")
    return given == "on"

"""The settings that come from environment variables."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Literal

from targen.errors import StoreError, TargenError
from targen.redaction import remember_environment

ENDPOINTS_DEFAULT = "endpoints.yaml"
"""The endpoints file. It does not have to exist unless a variable names another one."""

S3_ATTEMPTS = 17
"""Attempts of one S3 call if AWS_MAX_ATTEMPTS is unset. The standard mode of botocore 1.44 waits a
random part of 0.05, 0.1, 0.2 ... 12.8, then 20 s between attempts: 83 s on average before it gives
up, and less than 30 s in one case of 10,000. Older releases start at 1 s and wait longer."""

_Parser = Callable[[str, str], Any]


def _text(variable: str, value: str) -> str:
    del variable
    return value


def expanded(variable: str, value: str) -> Path:
    """Return the path of a folder, with the home of a user in place of `~` and `~user`.

    Raises:
        TargenError: there is no such user.
    """
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise TargenError(
            f"{variable}: {value[:80]!r} begins with ~, but that user has no home folder here."
        ) from None


def _folders(variable: str, value: str) -> str:
    for folder in value.split(","):
        expanded(variable, folder.strip())
    return value


def _count(variable: str, value: str) -> int:
    digits = value.strip()
    # No count has more; Python refuses to convert more than 4,300.
    if not digits.isdecimal() or len(digits) > 12 or int(digits) < 1:
        shown = repr(value) if len(value) <= 40 else f"{value[:40]!r}..."
        raise TargenError(f"{variable} must be a whole number of at least 1, not {shown}.")
    return int(digits)


def _number(fits: Callable[[float], bool], words: str, variable: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not fits(number):
        raise TargenError(f"{variable} must be {words}, not {value!r}.")
    return number


_amount = partial(_number, lambda number: 0 <= number < inf, "an amount such as 2.50")
_share = partial(_number, lambda number: 0 <= number <= 1, "a share from 0 to 1 such as 0.1")
_seconds = partial(_number, lambda number: 0 < number < inf, "a number of seconds above 0")


def _one_of(first: str, second: str, variable: str, value: str) -> str:
    if value not in (first, second):
        raise TargenError(f"{variable} must be {first} or {second}, not {value!r}.")
    return value


_mode = partial(_one_of, "live", "batch")
_style = partial(_one_of, "full", "plain")


def _switch(variable: str, value: str) -> bool:
    return _one_of("on", "off", variable, value) == "on"


def _key_prefix(variable: str, value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*", value):
        raise TargenError(f"{variable} must be names such as nlp or nlp/targen, not {value!r}.")
    return value


def _pages_url(variable: str, value: str) -> str:
    if not re.fullmatch(r"(https?://[^/\s?#]+)?(/[^\s?#]*)?", value):
        raise TargenError(
            f"{variable} must be an address such as http://127.0.0.1:8322 or a path such as "
            f"/targen, not {value!r}."
        )
    return value.rstrip("/")


def _hosts(variable: str, value: str) -> str:
    names = [name.strip().lower() for name in value.split(",") if name.strip()]
    for name in names:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]", name):
            raise TargenError(
                f"{variable} must be host names such as targen.example.org, without a scheme or a "
                f"port, not {name!r}."
            )
    return ",".join(names)


def _sampling(variable: str, value: str) -> str:
    parsed_sampling(variable, value)
    return value


def parsed_sampling(variable: str, value: str) -> dict[str, float]:
    """Return the parameters of a text such as `temperature=0.7, top_k=20`; '' has none.

    Raises:
        TargenError: it has another form.
    """
    found: dict[str, float] = {}
    for part in value.split(",") if value.strip() else ():
        name, _, number = (text.strip() for text in part.partition("="))
        try:
            found[name] = float(number)
        except ValueError:
            raise TargenError(
                f"{variable} must be parameters and numbers, such as temperature=0.7,top_p=0.8; "
                f"{part.strip()!r} is not."
            ) from None
    return found


def _setting(
    variable: str,
    description: str,
    default: Any = None,
    parse: _Parser = _text,
    secret: bool = False,
) -> Any:
    facts = {"variable": variable, "description": description, "parse": parse}
    return field(default=default, repr=not secret, metadata=facts)


@dataclass(frozen=True)
class Settings:
    """Every setting that an environment variable can change."""

    data_dir: str = _setting(
        "TARGEN_DATA_DIR",
        "Where tables and reports are stored: a folder, or s3://bucket/prefix.",
        "data",
        _folders,
    )
    store_url: str | None = _setting(
        "TARGEN_STORE_URL",
        "SQLAlchemy URL of the completion store. The default is completions.db in the data "
        "folder. Required (PostgreSQL) if the data is on S3.",
        secret=True,
    )
    tasks_dir: str = _setting("TARGEN_TASKS_DIR", "Folder of the task files.", "tasks")
    recipes_dir: str = _setting("TARGEN_RECIPES_DIR", "Folder of the recipe files.", "recipes")
    plugins: str = _setting(
        "TARGEN_PLUGINS",
        "Folders whose Python code tasks may run as plug-ins, separated by commas; their "
        "subfolders count as well. The default is none. Installed packages need no setting.",
        "",
        _folders,
    )
    references_dir: str | None = _setting(
        "TARGEN_REFERENCES_DIR",
        "Folder of reference data. A Parquet, JSON lines, CSV or TSV file named after a task (or "
        "after a task that it extends) overrides the task's own `reference`.",
    )
    endpoints_file: str = _setting(
        "TARGEN_ENDPOINTS_FILE",
        "File that defines the endpoints that steps can name, each with its own limits, prices "
        "and key.",
        ENDPOINTS_DEFAULT,
    )
    rows: int | None = _setting(
        "TARGEN_ROWS", "Rows of every corrected set. Overrides the tasks' own `rows`.", None, _count
    )
    model: str | None = _setting(
        "TARGEN_MODEL",
        "Model name at the endpoint. The default is the simulator, which needs no network and "
        "no key.",
    )
    base_url: str | None = _setting(
        "OPENAI_BASE_URL",
        "Root of the OpenAI-compatible API. The default is the SDK's.",
        secret=True,
    )
    api_key: str | None = _setting(
        "OPENAI_API_KEY", "The endpoint's API key. Never shown or stored.", secret=True
    )
    api_key_secret: str | None = _setting(
        "TARGEN_API_KEY_SECRET",
        "Name or ARN of the secret in AWS Secrets Manager that holds the API key. Used if no "
        "key is given.",
    )
    endpoint_name: str | None = _setting(
        "TARGEN_ENDPOINT_NAME",
        "Logical name of the endpoint, part of every request's identity. The default is the base "
        "URL. Set it if the same model moves between addresses.",
    )
    embedding_model: str | None = _setting(
        "TARGEN_EMBEDDING_MODEL",
        "Model that embeds texts at the same endpoint, for the report's similarity metrics and "
        "for growth from similar or diverse examples; or sentence-transformers:NAME for a model "
        "on this machine (extra `embeddings`). The default is the simulator, which compares "
        "words, not meaning.",
    )
    mode: Literal["live", "batch"] = _setting(
        "TARGEN_MODE",
        "`live` sends one request at a time. `batch` submits files of requests to the endpoint's "
        "batch API: half the price at OpenAI, answers within a day. A run that stops meanwhile "
        "finds its batches again.",
        "live",
        _mode,
    )
    concurrency: int = _setting(
        "TARGEN_CONCURRENCY", "Maximum number of requests in flight.", 64, _count
    )
    budget_usd: float | None = _setting(
        "TARGEN_BUDGET_USD",
        "Spending limit in US dollars over all runs that share the store. The default is no limit.",
        None,
        _amount,
    )
    pay_again: float = _setting(
        "TARGEN_PAY_AGAIN",
        "Share of the completions behind a partition's tables, 0 to 1, that a run may request and "
        "pay for again if the store has lost them. If more are missing, the run ends before its "
        "first call. 1 also lets it replace damaged answers.",
        0.1,
        _share,
    )
    requests_per_minute: int | None = _setting(
        "TARGEN_RPM",
        "Requests per minute that the endpoint allows, shared by all runs of a store. By default "
        "the engine finds the limit.",
        None,
        _count,
    )
    tokens_per_minute: int | None = _setting(
        "TARGEN_TPM",
        "Prompt and output tokens per minute, shared by all runs of a store. The default is no "
        "limit.",
        None,
        _count,
    )
    timeout_s: float | None = _setting(
        "TARGEN_TIMEOUT_S",
        "Seconds until a call without a complete reply is given up and tried again. By default "
        "it follows from the request's output limit: 60 s and 1 s for every 5 tokens, between "
        "120 and 1,800 s.",
        None,
        _seconds,
    )
    patience_s: float = _setting(
        "TARGEN_PATIENCE_S",
        "Seconds that an endpoint that has answered before may be unreachable before the run "
        "ends with an error.",
        300.0,
        _seconds,
    )
    sampling: str | None = _setting(
        "TARGEN_SAMPLING",
        "Sampling parameters of the default endpoint: temperature, top_p, min_p and top_k, such as "
        "temperature=0.7,top_p=0.8,top_k=20. They replace the operators' defaults; what a recipe "
        "or a task sets takes precedence.",
        None,
        _sampling,
    )
    reasoning_tokens: int | None = _setting(
        "TARGEN_REASONING_TOKENS",
        "Tokens that a thinking model at the default endpoint may write before its answer, added "
        "to the output limit of every request. The default is 0.",
        None,
        _count,
    )
    style: str | None = _setting(
        "TARGEN_STYLE",
        "Style of the prompts for the default endpoint: `full`, or `plain` for small models. The "
        "default is `full`.",
        None,
        _style,
    )
    prices_file: str | None = _setting(
        "TARGEN_PRICES", "Price file to use instead of the built-in one."
    )
    expectations: bool = _setting(
        "TARGEN_EXPECTATIONS", "Whether Great Expectations checks every table.", True, _switch
    )
    fresh_hours: int = _setting(
        "TARGEN_FRESH_HOURS",
        "Hours without a materialization after which the UI calls an asset overdue. The default is "
        "a week: tables do not expire, but a nightly schedule that stopped should show.",
        7 * 24,
        _count,
    )
    nightly_cron: str = _setting(
        "TARGEN_NIGHTLY_CRON", "When the nightly schedule runs.", "0 2 * * *"
    )
    nightly_timezone: str = _setting(
        "TARGEN_NIGHTLY_TIMEZONE", "Time zone of the nightly schedule.", "UTC"
    )
    nightly_tasks: str = _setting(
        "TARGEN_NIGHTLY_TASKS",
        "Tasks of the nightly schedule: names or patterns, separated by commas.",
        "*",
    )
    key_prefix: str = _setting(
        "TARGEN_KEY_PREFIX",
        "First parts of the keys of Dagster's assets, separated by slashes, for a deployment that "
        "has other assets of these names. The default is none.",
        "",
        _key_prefix,
    )
    pages_url: str | None = _setting(
        "TARGEN_PAGES_URL",
        "Where reports, Data Docs and audits are served, for links in Dagster's metadata. `make "
        "ui` serves them at /targen of its own address, the default; `targen pages` elsewhere.",
        "/targen",
        _pages_url,
    )
    ui_hosts: str = _setting(
        "TARGEN_UI_HOSTS",
        "Host names besides loopback at which users open the UI, separated by commas: those of the "
        "proxy in front of it. The web server refuses requests to others.",
        "",
        _hosts,
    )
    alert_webhook: str | None = _setting(
        "TARGEN_ALERT_WEBHOOK",
        "Where failed runs and failed checks are posted as JSON.",
        secret=True,
    )

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the environment; an empty variable counts as unset.

        Raises:
            TargenError: a variable has an invalid value.
        """
        remember_environment()
        found: dict[str, Any] = {}
        for one in fields(cls):
            variable = one.metadata["variable"]
            if value := os.environ.get(variable):
                found[one.name] = one.metadata["parse"](variable, value)
        return cls(**found)

    def store_address(self) -> str:
        """Return the SQLAlchemy URL of the completion store; see `store_address`."""
        return store_address(self.store_url, self.data_dir)


OTHER_VARIABLES = (
    "TARGEN_BENCH_",
    "TARGEN_CELERY_",
    "TARGEN_DAGSTER_YAML",
    "TARGEN_LOGS_BUCKET",
    "TARGEN_PICTURES",
    "TARGEN_REPORT_PICTURES",
    "TARGEN_SNAPSHOT",
    "TARGEN_TEST_",
)
"""Beginnings of variables that are no settings: of deployments, tests and benchmarks."""


def unknown_variables() -> list[str]:
    """Return a sentence about each TARGEN_ variable of the environment that nothing reads."""
    known = [one.metadata["variable"] for one in fields(Settings)]
    names = (name for name in sorted(os.environ) if name.startswith("TARGEN_"))
    found = []
    for name in names:
        if name not in known and not name.startswith(OTHER_VARIABLES):
            close = get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"did you mean {close[0]}?" if close else "docs/settings.md lists them all."
            found.append(f"{name} is not a setting and has no effect; {hint}")
    return found


_FIELDS = {one.name: one for one in fields(Settings)}


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return str(_FIELDS[name].metadata["variable"])


def parsed(name: str, text: str, where: str) -> Any:
    """Return the value of a setting that is given as text.

    Args:
        name: the setting.
        text: its value, as in an environment variable.
        where: what to call it in the error.

    Raises:
        TargenError: the value is wrong.
    """
    return _FIELDS[name].metadata["parse"](where, text)


def default(name: str) -> Any:
    """Return the default of a setting."""
    return _FIELDS[name].default


def description(name: str) -> str:
    """Return what a setting means, in one or more sentences."""
    return str(_FIELDS[name].metadata["description"])


def store_address(store_url: str | None, data_dir: str) -> str:
    """Return the SQLAlchemy URL of the completion store: `store_url`, or SQLite beside the data.

    Raises:
        StoreError: the data is on S3, which cannot hold a SQLite file, and `store_url` is unset.
    """
    if store_url:
        return store_url
    if "://" in data_dir:
        raise StoreError(
            f"The data is on {data_dir}, which cannot hold a SQLite file: set "
            f"{variable('store_url')} to a database, such as postgresql+psycopg2://user@host/name."
        )
    # Not at the top: a quick command needs no SQLAlchemy.
    from sqlalchemy import URL  # noqa: PLC0415

    file = Path(data_dir).expanduser() / "completions.db"
    # A folder's name may contain %2F, ? or #, which mean something else in a URL.
    return URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)


def s3_attempts() -> int:
    """Return how many times an S3 call is attempted: AWS_MAX_ATTEMPTS, or S3_ATTEMPTS.

    Raises:
        TargenError: the variable is not a whole number of at least 1.
    """
    value = os.environ.get("AWS_MAX_ATTEMPTS")
    return _count("AWS_MAX_ATTEMPTS", value) if value else S3_ATTEMPTS

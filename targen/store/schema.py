"""The tables of the completion store."""

from typing import Literal

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

VERSION = "0005"
"""The Alembic revision that this code uses."""

OLDER: frozenset[str] = frozenset({"0001", "0002", "0003", "0004"})
"""Revisions that `migrations` upgrades to `REVISION`."""

Status = Literal["ok", "refused", "filtered", "truncated", "malformed", "failed"]
"""Outcome of a request."""

METADATA = MetaData()

COMPLETIONS = Table(
    "completions",
    METADATA,
    Column("request_id", String(64), primary_key=True),
    Column("parent_request_id", String(64)),
    Column("status", String(16), nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("served_model", Text),
    Column("fingerprint", Text),
    Column("provider_id", Text),
    Column("identity", LargeBinary, nullable=False),
    Column("raw", LargeBinary),
    Column("error", Text),
    Column("finish", String(32)),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("cost_usd", Float),
    Column("simulated", Boolean, nullable=False),
    Column("mean_logprob", Float),
    Column("latency", Float),
    Column("attempts", Integer, nullable=False),
    Column("mode", String(8), nullable=False),
    Column("run_id", Text, nullable=False),
    Column("project_version", String(32), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("checksum", String(64)),
    Column("cached_tokens", Integer),
)
"""One row per request with an answer or a permanent failure. `identity` and `raw` are zstd;
`created_at` is seconds since 1970 UTC, `latency` seconds; `checksum` covers all other columns
(`completions.checksum`) and is null in rows from older versions. `cached_tokens` are those of
`prompt_tokens` that the endpoint read from its prompt cache."""

Index("completions_parent", COMPLETIONS.c.parent_request_id)

USES = Table(
    "uses",
    METADATA,
    Column("request_id", String(64), primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("task", Text, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("paid", Boolean, nullable=False),
    Column("used_at", Float, nullable=False),
)
"""Uses of a completion; `paid` if the call was made for this use."""

OWNERS = Table(
    "owners",
    METADATA,
    Column("owner", String(32), primary_key=True),
    Column("expires_at", Float, nullable=False),
)
"""Processes that hold leases and reservations, with the time until which they count as alive."""

LEASES = Table(
    "leases",
    METADATA,
    Column("request_id", String(64), primary_key=True),
    Column("owner", String(32), ForeignKey("owners.owner"), nullable=False, index=True),
)
"""Requests in progress in some process, which no other process sends."""

BUDGETS = Table(
    "budgets",
    METADATA,
    Column("scope", String(128), primary_key=True),
    Column("spent_usd", Float, nullable=False),
)
"""Amounts spent in total (`*`) and by task (`task:<name>`), in US dollars."""

RESERVATIONS = Table(
    "reservations",
    METADATA,
    Column("owner", String(32), primary_key=True),
    Column("scope", String(128), primary_key=True),
    Column("reserved_usd", Float, nullable=False),
)
"""Maximum cost of a process's open calls."""

GATES = Table(
    "gates",
    METADATA,
    Column("endpoint", Text, primary_key=True),
    Column("state", Text, nullable=False),
)
"""Rate limit and token bucket of an endpoint, shared by all processes; JSON."""

BATCHES = Table(
    "batches",
    METADATA,
    Column("batch_key", String(64), primary_key=True),
    Column("endpoint", Text, nullable=False),
    Column("batch_id", Text),
    Column("file_id", Text),
    Column("state", String(16), nullable=False),
    Column("created_at", Float, nullable=False),
)
"""Batches in progress at an endpoint."""

BATCH_ITEMS = Table(
    "batch_items",
    METADATA,
    Column("request_id", String(64), primary_key=True),
    Column("batch_key", String(64), nullable=False, index=True),
)
"""The batch of each submitted request."""

EMBEDDINGS = Table(
    "embeddings",
    METADATA,
    Column("embedding_id", String(64), primary_key=True),
    Column("endpoint", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("dimensions", Integer, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Column("prompt_tokens", Integer),
    Column("cost_usd", Float),
    Column("simulated", Boolean, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("project_version", String(32), nullable=False),
    Column("created_at", Float, nullable=False),
)
"""One row per embedded text. `embedding_id` is the sha256 of text, model and endpoint; `vector` is
zstd of little-endian 4-byte floats. Tokens and cost are the text's share of its request."""

HOLDS = Table(
    "holds",
    METADATA,
    Column("place", Text, primary_key=True),
    Column("task", Text, primary_key=True),
    Column("token", String(32), nullable=False),
    Column("run_id", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("expires_at", Float, nullable=False),
)
"""The run that holds a task's partition at an S3 prefix, and the time until which it counts as
alive."""

TABLE_DIGESTS = Table(
    "table_digests",
    METADATA,
    Column("key", String(300), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("data_version", String(64)),
    Column("cells", LargeBinary),
    Column("made_by", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("recorded_at", Float, nullable=False),
)
"""Record of each file in the data folder at the time of writing, for audits. `key` is its path in
the folder, `sha256` the digest of its bytes, `data_version` that of a table's rows, `cells` the
result of `table_digests.cells`; `made_by` is JSON; `run_id` and `recorded_at` (seconds since 1970
UTC) are from the last time that these bytes were written."""

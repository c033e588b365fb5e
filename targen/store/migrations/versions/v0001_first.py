"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "batch_items",
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("batch_key", sa.String(64), nullable=False),
    )
    op.create_index("ix_batch_items_batch_key", "batch_items", ["batch_key"])
    op.create_table(
        "batches",
        sa.Column("batch_key", sa.String(64), primary_key=True),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("batch_id", sa.Text),
        sa.Column("file_id", sa.Text),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_table(
        "budgets",
        sa.Column("scope", sa.String(128), primary_key=True),
        sa.Column("spent_usd", sa.Float, nullable=False),
    )
    op.create_table(
        "completions",
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("parent_request_id", sa.String(64)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("served_model", sa.Text),
        sa.Column("fingerprint", sa.Text),
        sa.Column("provider_id", sa.Text),
        sa.Column("identity", sa.LargeBinary, nullable=False),
        sa.Column("raw", sa.LargeBinary),
        sa.Column("error", sa.Text),
        sa.Column("finish", sa.String(32)),
        sa.Column("prompt_tokens", sa.Integer),
        sa.Column("completion_tokens", sa.Integer),
        sa.Column("cost_usd", sa.Float),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("mean_logprob", sa.Float),
        sa.Column("latency", sa.Float),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("mode", sa.String(8), nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("project_version", sa.String(32), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_index("completions_parent", "completions", ["parent_request_id"])
    op.create_table(
        "gates",
        sa.Column("endpoint", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
    )
    op.create_table(
        "owners",
        sa.Column("owner", sa.String(32), primary_key=True),
        sa.Column("expires_at", sa.Float, nullable=False),
    )
    op.create_table(
        "reservations",
        sa.Column("owner", sa.String(32), primary_key=True),
        sa.Column("scope", sa.String(128), primary_key=True),
        sa.Column("reserved_usd", sa.Float, nullable=False),
    )
    op.create_table(
        "uses",
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("step", sa.Text, primary_key=True),
        sa.Column("paid", sa.Boolean, nullable=False),
        sa.Column("used_at", sa.Float, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(32), sa.ForeignKey("owners.owner"), nullable=False),
    )
    op.create_index("ix_leases_owner", "leases", ["owner"])

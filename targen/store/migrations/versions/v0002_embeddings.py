"""Vectors of texts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "embeddings",
        sa.Column("embedding_id", sa.String(64), primary_key=True),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("dimensions", sa.Integer, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.Column("prompt_tokens", sa.Integer),
        sa.Column("cost_usd", sa.Float),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("project_version", sa.String(32), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )

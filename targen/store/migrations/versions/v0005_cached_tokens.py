"""Prompt tokens that the endpoint read from its cache."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column. It is unknown for older rows, whose checksums stay valid without it."""
    op.add_column("completions", sa.Column("cached_tokens", sa.Integer))

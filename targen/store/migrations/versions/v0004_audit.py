"""What audits compare with: a checksum of every completion, and the digests of table files."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add both. Rows stored before have no checksum, because their original content is unknown."""
    op.add_column("completions", sa.Column("checksum", sa.String(64)))
    op.create_table(
        "table_digests",
        sa.Column("key", sa.String(300), primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("data_version", sa.String(64)),
        sa.Column("cells", sa.LargeBinary),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.Float, nullable=False),
    )

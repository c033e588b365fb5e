"""Running the migrations on an open connection."""

import threading
from pathlib import Path

import sqlalchemy as sa

# Alembic keeps the migration in progress in a module, so threads take turns.
_TURN = threading.Lock()


def upgrade(connection: sa.Connection) -> None:
    """Bring the store behind `connection` to the newest schema, in its transaction."""
    # Alembic takes a quarter of a second to import: only where a store is new or old.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    # ConfigParser reads % as the beginning of a reference.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    with _TURN:
        command.upgrade(config, "head")

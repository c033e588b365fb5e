"""What Alembic runs to migrate a store: always on the connection that `Store` hands over."""

from alembic import context

from targen.store.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()

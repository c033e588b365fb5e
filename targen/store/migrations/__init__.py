"""The way of a store from an older schema to this one: Alembic, with its scripts in `versions`."""

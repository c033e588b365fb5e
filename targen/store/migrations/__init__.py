"""The way of a store from an older schema to this one: Alembic, with its scripts in `versions`.

Here belongs what a store that lies somewhere already needs. How a new one looks is
`targen.store.schema`; its tables are made by these scripts as well.
"""

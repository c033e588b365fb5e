"""Benchmarks: figures measured in one run against a named alternative, printed as JSON.

Here belong modules with a function `run() -> dict`, one for each thing measured. Tests do not
belong here: nothing in this package can fail a build.
"""

"""Benchmarks: figures measured in one run against a named alternative, printed as JSON."""

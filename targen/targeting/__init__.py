"""Targets: what the rows of a report lack, and the rows to write next."""

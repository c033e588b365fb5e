"""Releases: finished rows as an immutable folder that can be checked, given out and withdrawn."""

"""Releases: finished rows as an immutable folder that can be checked, given out and withdrawn.

Here belongs what a release holds and what keeps it whole. The form of single files belongs to
`targen.export`; when a release is made, to Dagster.
"""

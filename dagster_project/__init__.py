"""The Dagster project: definitions, partitions, jobs, and the commands that `make` calls.

Here belongs putting assets and resources together. Assets and resources themselves do not.
"""

"""The Dagster project: definitions, partitions, jobs, and the commands that `make` calls."""

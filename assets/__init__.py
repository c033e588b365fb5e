"""The assets: one module each, thin, with the checks that stand beside them.

Here belongs what Dagster shows of a step: its place in the lineage, its metadata, its checks. How
a step is done belongs to `targen`.
"""

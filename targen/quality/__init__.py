"""Quality metrics (pure functions over Polars frames), the report, its page and the comparison.

Libraries that are slow to import are imported inside the functions that use them.
"""

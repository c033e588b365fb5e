"""What can be shown of a data set: metrics, the report that gathers them, and its page.

Here belong pure functions over Polars frames. Nothing here makes a model call, reads a clock or
knows of tasks, recipes or Dagster, so that every metric also serves data made by somebody else.
Libraries that are slow to import are imported inside the functions that use them.
"""

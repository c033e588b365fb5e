"""What the assets need from outside: places, tables, tasks, the model, locks.

Here belong Dagster resources and the plain objects behind them. Assets and methods do not.
"""

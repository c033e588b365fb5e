"""TarGEN: labelled data sets from a task description, made with a large language model.

Here belongs the method: tasks, recipes, operators, the engine that talks to models, the quality
report. Dagster does not: this package imports none of it, and can be used without it.
"""

__version__ = "0.1.0"

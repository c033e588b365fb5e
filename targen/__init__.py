"""TarGEN: labeled data sets from a task description, made with a large language model."""

__version__ = "0.1.0"

"""One partition per task file."""

from dagster import StaticPartitionsDefinition

from resources.tasks import TaskFolder


def task_partitions(tasks: TaskFolder) -> StaticPartitionsDefinition:
    """Return a partition for every task in the folder, sorted by name.

    Raises:
        SpecError: a task file cannot be read.
    """
    return StaticPartitionsDefinition(tasks.names())

"""Settings that may hold a secret, as Dagster takes them.

Here belongs keeping a secret out of what Dagster shows and stores. The variables' names belong to
`targen.environment`.
"""

from dagster import EnvVar

from targen import environment


def private(name: str) -> EnvVar | None:
    """Return a reference that is looked up only when a run needs it, or None where unset.

    Dagster shows and stores the variable's name instead of its value.
    """
    return EnvVar(name) if environment.optional(name) else None

"""Fields of the resources that come from `targen.settings`."""

from typing import Any

from dagster import EnvVar
from pydantic import Field

from targen.settings import Settings, default, description, variable

S3_FIELD: Any = Field(
    default=None,
    description="dagster-aws's S3Resource if the data is on S3; it creates the client. boto3 finds "
    "region, endpoint and credentials: AWS_* variables, a profile, or the machine's role.",
)
SECRETS_FIELD: Any = Field(
    default=None,
    description="dagster-aws's SecretsManagerResource if a secret is named. boto3 finds region "
    "and credentials.",
)


def setting(name: str) -> Any:
    """Return a resource field with the default and the description of a setting."""
    text = f"{description(name)} From {variable(name)}."
    return Field(default=default(name), description=text)


def private(settings: Settings, name: str) -> EnvVar | None:
    """Return a reference to a variable that may hold a secret, or None if it is unset.

    Dagster resolves it when a run needs it, and shows and stores only the variable's name.
    """
    return EnvVar(variable(name)) if getattr(settings, name) else None
